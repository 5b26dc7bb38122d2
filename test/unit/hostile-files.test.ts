/** Foreign files in managed places: of any size, in any number, at any depth. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Change, Desired, Reason, Seen } from '../../agent/core/types.ts';
import { createOriginals, MAX_ORIGINAL, type Originals } from '../../agent/kinds/file/act/originals.ts';
import type { FileFact } from '../../agent/kinds/file/diff.ts';
import { createFileProvider } from '../../agent/kinds/file/provider.ts';
import type { FileSpec } from '../../agent/kinds/file/spec.ts';
import { createFiles, type Files } from '../../agent/system/files/files.ts';
import { withoutFailure } from '../failures.ts';
import { failOnStalls } from '../stall.ts';

const isRoot = process.getuid?.() === 0;
const NEVER = new AbortController().signal;

let root: string;
let files: Files;
let provider: ReturnType<typeof createFileProvider>;
const at = (file: string) => path.join(root, file);
const originalsDir = '/var/lib/fairlead/originals';

failOnStalls();
beforeEach(() => {
  root = fs.mkdtempSync(path.join(fs.realpathSync(os.tmpdir()), 'fairlead-hostile-'));
  for (const dir of ['/srv', '/etc']) fs.mkdirSync(at(dir), { recursive: true });
  fs.writeFileSync(at('/etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  fs.writeFileSync(at('/etc/group'), 'root:x:0:\n');
  files = createFiles({ root });
  provider = providerOf(createOriginals({ files, dir: originalsDir }));
});
// In many turns of the event loop: clean-up of a test must not count as a stall of the code.
afterEach(() => fs.promises.rm(root, { recursive: true, force: true }));

const providerOf = (originals: Originals) =>
  createFileProvider({
    files,
    originals,
    exec: async () => ({ code: 0, stdout: '', stderr: '' }),
    execRoot: root,
    stagingDir: '/var/lib/fairlead/staging',
    clock: { now: () => new Date(), monotonic: () => performance.now() } as never,
    ownership: isRoot,
  });

function wanted(spec: Partial<FileSpec> & Pick<FileSpec, 'path' | 'type'>): Desired<FileSpec> {
  const full: FileSpec = {
    mode: spec.type === 'directory' ? 0o755 : 0o644,
    owner: 'root',
    group: 'root',
    secret: false,
    ...spec,
  };
  return {
    id: `file:${spec.path}`,
    spec: full,
    hash: 'h',
    after: [],
    notify: [],
    origin: { file: 'a', line: 1, layer: 'host' },
  };
}

interface Looked {
  seen: Seen<FileFact> | undefined;
  change: Change;
}

async function look(want: Desired<FileSpec>): Promise<Looked> {
  const seen = (await provider.observe([want.id], NEVER, new Map([[want.id, want]]))).get(want.id);
  return { seen, change: provider.diff(want, seen) };
}

/** Observes, and applies the differences. */
async function apply(want: Desired<FileSpec>): Promise<Reason[]> {
  const notes: Reason[] = [];
  const work = { want, ...(await look(want)), report: (note: Reason) => notes.push(note) };
  await withoutFailure(provider.apply([work], NEVER));
  return notes;
}

/** The number of turns of the event loop during some work. */
async function turnsDuring(act: () => Promise<unknown>): Promise<number> {
  let turns = 0;
  let done = false;
  const acting = act().finally(() => {
    done = true;
  });
  while (!done) {
    await setImmediate();
    turns++;
  }
  await acting;
  return turns;
}

describe('a first takeover', () => {
  const want = wanted({ path: '/srv/app.conf', type: 'file', content: new Uint8Array([1]) });
  const sparse = (bytes: number) => {
    fs.writeFileSync(at('/srv/app.conf'), 'x');
    fs.truncateSync(at('/srv/app.conf'), bytes);
  };

  test('of a huge file waits for a person, and reads nothing of it', async () => {
    sparse(8 * 1024 ** 4);
    const { seen, change } = await look(want);
    expect(seen?.fact.sha256).toBeUndefined();
    expect(provider.hold?.(want, seen, change)).toMatch(/8796093022208 bytes is there.*move or delete it/);
  });
  test('of a file that grew since it was observed is refused before it is copied', async () => {
    const { seen, change } = await look(want);
    sparse(3 * 1024 ** 3);
    const fact = { ...(seen?.fact as FileFact), type: 'file' as const, size: 1 };
    const failures = await provider.adopt?.([{ want, change, seen: { fact } }]);
    expect(failures?.get(want.id)?.code).toBe('OriginalTooLarge');
    expect(
      fs.existsSync(at(originalsDir)) ? fs.readdirSync(at(originalsDir)).filter((n) => n.endsWith('.bytes')) : [],
    ).toEqual([]);
  });
  test('of the largest file that is kept blocks nothing, and preserves its holes', async () => {
    sparse(MAX_ORIGINAL);
    const found = await look(want);
    const turns = await turnsDuring(async () => expect((await provider.adopt?.([{ want, ...found }]))?.size).toBe(0));
    expect(turns).toBeGreaterThan(50);
    const [kept = ''] = fs.readdirSync(at(originalsDir)).filter((name) => name.endsWith('.bytes'));
    const stat = fs.statSync(at(`${originalsDir}/${kept}`));
    expect(stat.size).toBe(MAX_ORIGINAL);
    expect(stat.blocks * 512).toBeLessThan(1024 * 1024);
  });
  test('of a file in the place of a declared directory does not read the file either', async () => {
    sparse(8 * 1024 ** 4);
    const { seen } = await look(wanted({ path: '/srv/app.conf', type: 'directory' }));
    expect([seen?.fact.type, seen?.fact.sha256]).toEqual(['file', undefined]);
  });
});

describe('a purge', () => {
  const want = wanted({ path: '/srv/d', type: 'directory', purge: true, keep: ['mine'] });
  beforeEach(() => {
    fs.mkdirSync(at('/srv/d'));
    fs.writeFileSync(at('/srv/d/mine'), 'mine');
  });
  const driftNames = () => fs.readdirSync(at(`${originalsDir}/drift`));

  test('of thousands of names ends, in slices, and keeps a bounded part of them', async () => {
    for (let n = 0; n < 12_000; n++) {
      fs.writeFileSync(at(`/srv/d/${n}`), `line ${n}`);
      if (n % 100 === 0) await setImmediate();
    }
    let notes: Reason[] = [];
    const turns = await turnsDuring(async () => {
      notes = await apply(want);
    });
    expect(fs.readdirSync(at('/srv/d'))).toEqual(['mine']);
    expect(driftNames().length).toBeLessThanOrEqual(20);
    expect(notes.length).toBeLessThan(40);
    expect(notes.at(-1)?.to).toMatch(/^not kept: \d+ more files/);
    expect(turns).toBeGreaterThan(10);
  });
  test('never evicts copies of other paths, however often it runs', async () => {
    const originals = createOriginals({ files, dir: originalsDir });
    fs.writeFileSync(at('/srv/other'), 'precious');
    const precious = await originals.keepDrift('/srv/other');
    fs.mkdirSync(at('/srv/e'));
    fs.writeFileSync(at('/srv/e/one'), 'of another directory');
    await apply(wanted({ path: '/srv/e', type: 'directory', purge: true }));
    const [elsewhere = ''] = driftNames().filter((name) => name.endsWith('.foreign'));
    for (let round = 0; round < 12; round++) {
      for (let n = 0; n < 60; n++) fs.writeFileSync(at(`/srv/d/${n}`), `round ${round} line ${n}`);
      await apply(want);
    }
    expect(fs.readFileSync(at(precious), 'utf8')).toBe('precious');
    expect(driftNames()).toContain(elsewhere);
    expect(driftNames().length).toBeLessThanOrEqual(42);
  });
  test('of a tree that is thousands of directories deep ends, with few of them open', async () => {
    // Deeper than the maximum length of a path: created from within, as a container would.
    let dir = fs.openSync(at('/srv/d'), 'r');
    for (let n = 0; n < 1_500; n++) {
      if (n % 100 === 0) await setImmediate();
      fs.mkdirSync(`/proc/self/fd/${dir}/deep`);
      const next = fs.openSync(`/proc/self/fd/${dir}/deep`, 'r');
      fs.closeSync(dir);
      dir = next;
    }
    fs.writeFileSync(`/proc/self/fd/${dir}/file`, 'x');
    fs.closeSync(dir);
    await apply(want);
    expect(fs.readdirSync(at('/srv/d'))).toEqual(['mine']);
  });
  test('of a directory that is filled all the time ends with `Contended`', async () => {
    let n = 0;
    const filled = { ...createOriginals({ files, dir: originalsDir }), keepForeign: () => fillMore };
    async function fillMore(): Promise<null> {
      for (let i = 0; i < 2; i++) fs.writeFileSync(at(`/srv/d/x${n++}`), '');
      return null;
    }
    provider = providerOf(filled);
    fs.writeFileSync(at('/srv/d/first'), '');
    await expect(apply(want)).rejects.toMatchObject({ code: 'Contended' });
  });
  test('works on the directory that was observed, not on what its path leads to later', async () => {
    fs.mkdirSync(at('/srv/victim'));
    fs.writeFileSync(at('/srv/victim/1'), 'precious');
    for (let n = 0; n < 3; n++) fs.writeFileSync(at(`/srv/d/${n}`), '');
    let swapped = false;
    await files.empty('/srv/d', new Set(['mine']), async () => {
      if (swapped) return;
      swapped = true;
      fs.renameSync(at('/srv/d'), at('/srv/d.away'));
      fs.symlinkSync('victim', at('/srv/d'));
    });
    expect(fs.readdirSync(at('/srv/victim'))).toEqual(['1']);
    expect(fs.readdirSync(at('/srv/d.away'))).toEqual(['mine']);
  });
});

test('a directory with the name of one of our temporary files does not prevent a write', async () => {
  fs.mkdirSync(at('/srv/.fairlead-x.0123456789ab'));
  await files.write('/srv/a', new Uint8Array([1]), { mode: 0o644, uid: -1, gid: -1 });
  expect(fs.readdirSync(at('/srv')).sort()).toEqual(['.fairlead-x.0123456789ab', 'a']);
});

describe.skipIf(!isRoot)('a foreign file', () => {
  const content = new TextEncoder().encode('as declared');
  const want = wanted({ path: '/srv/app.conf', type: 'file', content });
  const given = (mode: number, uid = 0, gid = 0) => {
    fs.writeFileSync(at('/srv/app.conf'), content);
    fs.chmodSync(at('/srv/app.conf'), mode);
    fs.chownSync(at('/srv/app.conf'), uid, gid);
    return fs.openSync(at('/srv/app.conf'), 'r+');
  };
  const survives = async (held: number) => {
    await apply(want);
    fs.writeSync(held, 'BAD', 0);
    fs.closeSync(held);
    const stat = fs.statSync(at('/srv/app.conf'));
    return [fs.readFileSync(at('/srv/app.conf'), 'utf8'), stat.uid, stat.gid, stat.mode & 0o777];
  };
  const GOOD = ['as declared', 0, 0, 0o644];

  test('with another owner is replaced by a new file: a process that has it open writes into the old one', async () => {
    expect(await survives(given(0o644, 65_534))).toEqual(GOOD);
  });
  test('that its group could write is replaced by a new file', async () => {
    expect(await survives(given(0o664, 0, 65_534))).toEqual(GOOD);
  });
  test('that everybody could write is replaced by a new file', async () => {
    expect(await survives(given(0o666))).toEqual(GOOD);
  });
  test('is never given to root in place, whatever was observed before', () => {
    fs.closeSync(given(0o644, 65_534));
    expect(() => files.setMeta('/srv/app.conf', { mode: 0o644, uid: 0, gid: 0 })).toThrow(
      expect.objectContaining({ code: 'UnsafePath' }),
    );
  });
  test('is kept if only its mode is too narrow', async () => {
    fs.closeSync(given(0o600));
    const { ino } = fs.statSync(at('/srv/app.conf'));
    await apply(want);
    expect(fs.statSync(at('/srv/app.conf')).ino).toBe(ino);
  });
});
