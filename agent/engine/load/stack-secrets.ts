/** A stack with its encrypted files: decrypted for compose/, and hashed with the host's key if one was used. */
import { loadStack, type Stack } from '../../compose/index.ts';
import type { StackInput } from '../../compose/stack/input.ts';
import type { Sha256 } from '../../core/payload/hash.ts';
import { openPayload } from '../../core/payload/opened-payload.ts';
import type { Payload } from '../../core/payload/payload.ts';
import { keptBy } from '../../core/render/kept.ts';
import type { Secrets } from '../../core/render/secret-values.ts';
import type { StackSource } from '../../core/render/stack-sources.ts';
import { textOrIssue } from '../../core/strict-text.ts';
import type { Issue } from '../../core/types.ts';

export interface StackWithSecrets extends Stack {
  /** Encrypted files that went into it. */
  secrets: string[];
}

type Given = Pick<StackInput, 'vars' | 'payload' | 'treeRoot' | 'sha256' | 'logins'>;

export interface StackToLoad extends StackSource, Given {
  keyedHash: Sha256;
  secrets: Secrets;
}

export function loadWithSecrets({ keyedHash, envs, secrets, ...input }: StackToLoad): StackWithSecrets {
  const read = (isKept: (file: string) => boolean, sha256: Sha256, from: Secrets = secrets) => {
    const { payload, used, failures } = openPayload({ payload: input.payload, decrypt: from.file, isKept });
    const { env, issues } = joinedEnv(envs, payload);
    const stack = loadStack({ ...input, sha256, env, payload, sealed: input.payload });
    const refused = [...failures].map(([file, message]): Issue => ({ ...start(file), message }));
    // Without its variables, nearly every other issue of a stack would be a consequence.
    const others = envs.some(({ path }) => failures.has(path)) ? [] : stack.issues;
    return { ...stack, issues: [...issues, ...others, ...refused], secrets: [...used] };
  };
  const nothing = () => false;
  // Only reading the stack shows which files it uses and which stay encrypted.
  const first = read(nothing, input.sha256);
  const isKept = first.decrypt === undefined ? nothing : keptBy(first.decrypt, input.dir);
  const second = first.decrypt === undefined ? first : read(isKept, input.sha256);
  const holds = second.secrets.length > 0 || second.resources.some((r) => (r.spec as { secret?: boolean }).secret);
  const loaded = holds ? read(isKept, keyedHash) : second;

  const sealedEnvs = envs.filter(({ text }) => text === null).map(({ path }) => path);
  if (secrets.otherwise === undefined || sealedEnvs.length === 0 || !loaded.issues.some(isError)) return loaded;
  const opaque = sealedEnvs.find((path) => secrets.isOpaque?.(path));
  if (opaque !== undefined) return { ...loaded, issues: [unjudged(opaque)] };
  const others = secrets.otherwise().map((one) => () => read(isKept, keyedHash, one).issues);
  return { ...loaded, issues: wrongInAll(loaded.issues, others) };
}

const isError = ({ severity }: Issue): boolean => severity === 'error';

const unjudged = (file: string): Issue => ({
  ...start(file),
  severity: 'warning',
  message: `the variables of ${file} are unknown without a key, so this stack is not checked; encrypt it with SOPS, which leaves the names readable`,
});

/** Keeps only the errors that occur with every set of stand-in values: the others depend on values that are unknown here. */
function wrongInAll(issues: readonly Issue[], others: readonly (() => readonly Issue[])[]): Issue[] {
  const placeOf = ({ file, line, column }: Issue) => `${file}:${line}:${column}`;
  return others.reduce<Issue[]>(
    (left, other) => {
      if (!left.some(isError)) return left;
      const places = new Set(other().filter(isError).map(placeOf));
      return left.filter((issue) => !isError(issue) || places.has(placeOf(issue)));
    },
    [...issues],
  );
}

/** Joins the files so that the line of a later layer wins; the result is named after the last file. */
function joinedEnv(envs: StackSource['envs'], payload: Payload): { env: StackInput['env']; issues: Issue[] } {
  const issues: Issue[] = [];
  const texts = envs.map(({ path, text }) => {
    if (text !== null) return text;
    const opened = textOrIssue(path, payload.get(path) ?? new Uint8Array());
    if (opened.issue) issues.push(opened.issue);
    return opened.text ?? '';
  });
  const last = envs.at(-1);
  const env = last ? { path: last.path, text: texts.map((text) => text.replace(/\n?$/, '\n')).join('') } : null;
  return { env, issues };
}

const start = (file: string): Omit<Issue, 'message'> => ({ file, line: 1, column: 1, key: '', severity: 'error' });
