/** Errors of the kernel about a file, in sentences. */
import { AgentError } from '../../errors.ts';

const SENTENCES: Record<string, string> = {
  ENOSPC: 'the disk is full; free some space',
  EDQUOT: 'the disk quota is used up',
  EIO: 'the disk answers with an input/output error; look at the kernel log (dmesg) and at the disk',
  // A unit with a mount namespace of its own (PrivateMounts=) keeps the flags that a mount had at its start.
  EROFS: 'the file system is read-only; if it was remounted since fairlead started, run `systemctl restart fairlead`',
  EPERM: 'the kernel does not allow it; is the file or its directory immutable (lsattr)?',
  EACCES: 'permission denied; is the agent root?',
  EBUSY: 'it is busy: something is mounted there',
  EISDIR: 'there is a directory; remove it by hand if it can go',
  ENOTDIR: 'one of its parents is not a directory',
  ELOOP: 'there is a symbolic link where none may be',
  EEXIST: 'there is something else already',
  EXDEV: 'another file system is mounted below it',
  ENAMETOOLONG: 'the name is too long',
};
/** Worth another try without a new commit. */
const PASSING = [
  ...['ENOSPC', 'EDQUOT', 'EBUSY', 'EROFS', 'EPERM', 'EXDEV', 'EISDIR', 'ENOTDIR'],
  // The disk, or the machine, is in trouble: no commit is to blame.
  ...['EIO', 'ENXIO', 'ENODEV', 'ESTALE', 'ETIMEDOUT', 'ENOMEM', 'EMFILE', 'ENFILE', 'ETXTBSY'],
];

export const codeOf = (thrown: unknown): string => String((thrown as { code?: unknown } | undefined)?.code ?? '');

/** @param what e.g. `write` */
export function explain(what: string, file: string, thrown: unknown): AgentError {
  if (thrown instanceof AgentError) return thrown;
  const code = codeOf(thrown);
  const why = SENTENCES[code] ?? (thrown instanceof Error ? thrown.message : String(thrown));
  return new AgentError({
    code: 'FileFailed',
    phase: 'apply',
    retry: PASSING.includes(code),
    message: `cannot ${what} ${file}: ${why}`,
    cause: thrown,
  });
}

/** @param at the parts walked so far, the offending one last */
export const unsafe = (directory: string, at: readonly string[]): AgentError =>
  new AgentError({
    code: 'UnsafePath',
    phase: 'apply',
    message: `${directory}: /${at.join('/')} belongs to another user than the directory it is in, or is a link that root did not make; fairlead does not follow it. Make every parent root's, or choose another path`,
  });

/** @param at the parts walked so far, the link last */
export const exposedLink = (directory: string, at: readonly string[]): AgentError =>
  new AgentError({
    code: 'UnsafePath',
    phase: 'apply',
    retry: true,
    message: `cannot follow ${directory}: /${at.join('/')} is a symbolic link in a directory that a container can write, so the container may have made it; remove the link, or mount a directory that does not contain it`,
  });

/** @param at the parts walked so far, the mount last */
export const exposedMount = (directory: string, at: readonly string[]): AgentError =>
  new AgentError({
    code: 'UnsafePath',
    phase: 'apply',
    retry: true,
    message: `cannot follow ${directory}: another file system is mounted at /${at.join('/')}, in a directory that a container can write; mount a directory that does not contain it, or choose another path`,
  });

export const ownPath = (file: string): AgentError =>
  new AgentError({
    code: 'OwnPath',
    phase: 'apply',
    message: `${file} leads to fairlead's own config, state or program, which cannot be managed; choose another path`,
  });

export const contended = (directory: string): AgentError =>
  new AgentError({
    code: 'Contended',
    phase: 'apply',
    message: `cannot empty ${directory}: something on this host keeps filling it; stop the program that writes there (perhaps a container), or remove \`purge\``,
  });

export const tooLarge = (file: string, size: number, limit: number): AgentError =>
  new AgentError({
    code: 'OriginalTooLarge',
    phase: 'apply',
    message: `cannot keep ${file} as it was: it has ${size} bytes, and at most ${limit} are kept; move or delete it`,
  });
