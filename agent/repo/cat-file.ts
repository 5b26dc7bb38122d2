/** The objects of a repository on this machine, read by one `git cat-file --batch`: packs, deltas, alternates and all. */
import { isObjectType, MissingObject, type Objects, OversizedObject, verified } from '../git/pack/objects.ts';
import { MAX_BLOB } from '../git/store/layer-files.ts';
import { type Git, notRunning, unreadable } from './git.ts';

export interface CatFile extends Objects {
  close(): void;
}

interface Wanted {
  oid: string;
  resolve(found: { type: string; bytes: Buffer }): void;
  reject(error: Error): void;
}

/** Many may be asked for at a time; git answers one after another. */
export function createCatFile(git: Git, env: Readonly<Record<string, string>> = {}): CatFile {
  const child = git.start(['cat-file', '--batch'], env);
  const queue: Wanted[] = [];
  const errors: Buffer[] = [];
  let failure: Error | null = null;
  let unasked: string[] = [];
  /** All that was asked for in one turn of the event loop is written at once: a system call for each object costs more than reading it. */
  const ask = (oid: string) => {
    if (unasked.length === 0)
      setImmediate(() => {
        child.stdin.write(unasked.join(''));
        unasked = [];
      });
    unasked.push(`${oid}\n`);
  };
  const fail = (error: Error) => {
    failure ??= error;
    for (const wanted of queue.splice(0)) wanted.reject(failure);
  };
  const take = createAnswers((oid, answer) => {
    const wanted = queue.shift();
    if (wanted?.oid !== oid)
      fail(unreadable(`git cat-file in ${git.dir} answered for ${oid}, which it was not asked for`));
    else if (answer instanceof Error) wanted.reject(answer);
    else wanted.resolve(answer);
  });
  child.stdout.on('data', take);
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk));
  child.stdin.on('error', () => undefined);
  child.on('error', (error) => fail(notRunning(git.dir, error)));
  child.on('close', (code) =>
    fail(
      unreadable(`git cat-file ended in ${git.dir} with exit code ${code}: ${Buffer.concat(errors).toString().trim()}`),
    ),
  );
  return {
    // A missing object shows only when it is read: a partial clone fetches it then.
    has: async () => true,
    lacking: async () => [],
    async read(oid, type) {
      const { type: found, bytes } = await new Promise<{ type: string; bytes: Buffer }>((resolve, reject) => {
        if (failure) return reject(failure);
        queue.push({ oid, resolve, reject });
        ask(oid);
      });
      if (!isObjectType(found)) throw unreadable(`${oid} in ${git.dir} is of no known type`);
      return verified(oid, type, { type: found, bytes });
    },
    close() {
      child.stdin.end();
      child.unref();
    },
  };
}

/** Parses git's output: `<oid> <type> <size>\n<bytes>\n`, or `<oid> missing\n`. An object that is too large is not kept. */
function createAnswers(answer: (oid: string, found: { type: string; bytes: Buffer } | Error) => void) {
  let held: Buffer[] = [];
  let heldBytes = 0;
  /** Remaining bytes of the current object, including the newline behind them. */
  let now: { oid: string; type: string; left: number; size: number } | null = null;
  const header = (line: string): void => {
    const [oid = '', type = '', size] = line.split(' ');
    if (size === undefined) answer(oid, new MissingObject(oid));
    else now = { oid, type, size: Number(size), left: Number(size) + 1 };
  };
  return (chunk: Buffer): void => {
    let at = 0;
    while (at < chunk.length) {
      if (now === null) {
        const end = chunk.indexOf(10, at);
        held.push(chunk.subarray(at, end === -1 ? chunk.length : end));
        if (end === -1) return;
        at = end + 1;
        const line = Buffer.concat(held).toString('latin1');
        held = [];
        header(line);
        continue;
      }
      const part = chunk.subarray(at, at + now.left);
      at += part.length;
      now.left -= part.length;
      if (now.size <= MAX_BLOB) {
        held.push(part);
        heldBytes += part.length;
      }
      if (now.left > 0) continue;
      const { oid, type, size } = now;
      const bytes = Buffer.concat(held, heldBytes).subarray(0, size);
      now = null;
      held = [];
      heldBytes = 0;
      answer(oid, size > MAX_BLOB ? new OversizedObject(oid, size) : { type, bytes });
    }
  };
}
