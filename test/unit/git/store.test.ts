/**
 * Whatever bases a server chooses for its deltas, every stored pack can be read by itself: after any number of changes back and
 * forth, fetches and restarts. The packs are those of a hostile or just a thrifty server: the same object again and again, each
 * time as a delta of another one.
 */
import fs, { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import fc from 'fast-check';
import { indexPack } from 'isomorphic-git';

import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Identified, idOf } from '../../../agent/git/pack/objects.ts';
import { unpack } from '../../../agent/git/pack/unpack.ts';
import { createRecent } from '../../../agent/git/store/recent.ts';
import { openObjects } from '../../../agent/git/store/store.ts';
import { type Backend, createFixture, git, scratch, startBackend } from './backend.ts';
import { deltaOf, LIMITS, packOf, stream, unpackAll, whole } from './packs.ts';
import { createPuller, texts } from './pull.ts';

const HISTORIES = Number(process.env.FAIRLEAD_GIT_HISTORIES ?? 1_000);
/** For tens of thousands of histories. */
const TIMEOUT = 120_000 + 100 * HISTORIES;
let root: string;
let backend: Backend;
let count = 0;
beforeAll(async () => {
  root = scratch();
  backend = await startBackend(root);
});
afterAll(async () => {
  await backend.stop();
  rmSync(root, { recursive: true, force: true });
});

const identified = (bytes: Uint8Array): Identified => {
  const object = { type: 'blob' as const, bytes };
  return { ...object, oid: idOf(object) };
};
const text = (n: number) => identified(Buffer.from(`${'a line that all have\n'.repeat(5)}version ${n}\n`));
const VERSIONS = Array.from({ length: 6 }, (_, n) => text(n));

/** One object of a pack: which one, and the base of its delta. */
const sent = fc.record({ which: fc.nat(VERSIONS.length - 1), base: fc.option(fc.nat(VERSIONS.length - 1)) });
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ fetch: fc.array(sent, { minLength: 1, maxLength: 4 }) }) },
  { weight: 2, arbitrary: fc.constant({ restart: true as const }) },
  { weight: 1, arbitrary: fc.constant({ compact: true as const }) },
);

test(
  'packs of mutual deltas, with restarts in between: every received object can be read, and no other is stored',
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 10 }), async (steps) => {
        const gitdir = path.join(root, `store-${++count}`);
        let recent = createRecent();
        const open = () => openObjects({ gitdir, recent, unpack });
        let store = open();
        const here = new Set<string>();
        for (const next of steps) {
          if ('fetch' in next) {
            const objects = next.fetch.map(({ which, base }) => {
              const [made, under] = [VERSIONS[which], VERSIONS[base ?? which]];
              if (made === undefined || under === undefined) throw new Error('no such version');
              return {
                made,
                packed: under === made ? whole(made) : deltaOf(under, made.bytes),
                base: under === made ? null : under.oid,
              };
            });
            await store.add(stream(packOf(objects.map(({ packed }) => packed))), LIMITS);
            for (let before = -1; before !== here.size; ) {
              before = here.size;
              for (const { made, base } of objects) if (base === null || here.has(base)) here.add(made.oid);
            }
          } else if ('restart' in next) {
            await store.settled();
            recent = createRecent();
            store = open();
          } else {
            await store.settled();
            store = open();
            await store.compact(async () => [...here]);
            store = open();
          }
          for (const { oid, bytes } of VERSIONS) {
            expect(await store.has(oid)).toBe(here.has(oid));
            if (here.has(oid)) expect(Buffer.from(await store.read(oid, 'blob')).equals(bytes)).toBe(true);
          }
        }
        await store.settled();
        await eachAlone(gitdir);
        rmSync(gitdir, { recursive: true, force: true });
      }),
      { numRuns: HISTORIES },
    );
  },
  TIMEOUT,
);

/** No pack needs an object outside of it. */
async function eachAlone(gitdir: string): Promise<void> {
  const packs = path.join(gitdir, 'objects/pack');
  for (const name of fs.existsSync(packs) ? readdirSync(packs) : [])
    if (name.endsWith('.pack')) {
      const bytes = fs.readFileSync(path.join(packs, name));
      expect((await unpackAll(stream(bytes))).size).toBe(bytes.readUInt32BE(8));
    }
}

test('git itself finds the packs valid', async () => {
  const gitdir = path.join(root, 'for-git');
  git(root, 'init', '-q', '--bare', gitdir);
  const store = openObjects({ gitdir, recent: createRecent(), unpack });
  const [a, b, c] = [text(1), text(2), identified(Buffer.alloc(0))];
  await store.add(stream(packOf([whole(a), deltaOf(a, b.bytes), whole(c)])), LIMITS);
  await store.add(
    stream(packOf([whole({ type: 'tree', bytes: Buffer.alloc(300_000, `100644 x\0${'i'.repeat(20)}`) })])),
    LIMITS,
  );
  await store.settled();
  const packs = path.join(gitdir, 'objects/pack');
  for (const name of readdirSync(packs).filter((n) => n.endsWith('.idx')))
    git(gitdir, 'verify-pack', path.join(packs, name));
  expect(git(gitdir, 'cat-file', 'blob', b.oid)).toBe(Buffer.from(b.bytes).toString().trim());
  expect(git(gitdir, 'cat-file', '-t', c.oid)).toBe('blob');
});

test('two deltas that are based on each other are left out, and do not block the rest', async () => {
  const [a, b, c] = [text(1), text(2), text(3)];
  const cycle = [deltaOf(a, b.bytes), deltaOf(b, a.bytes), whole(c), deltaOf(c, c.bytes)];
  expect([...(await unpackAll(stream(packOf(cycle)))).keys()]).toEqual([c.oid]);
  expect((await unpackAll(stream(packOf(cycle)), { base: (oid) => (oid === a.oid ? a : null) })).size).toBe(3);
});

const FLEET = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`hosts/edge-${i}/f`, `${i}\n`]));
const FLEET_YAML = `${Array.from({ length: 80 }, (_, i) => `# a line about ${i}`).join('\n')}\nname: test\n`;

test(
  'content that was added, reverted and added again on a real server, with a restart between any two',
  async () => {
    const action = fc.record({
      file: fc.constantFrom('hosts/edge-1/a.yaml', 'hosts/edge-1/a.yaml', 'hosts/edge-7/a.yaml', 'fleet.yaml'),
      do: fc.constantFrom('add', 'revert'),
      restart: fc.constantFrom(true, true, true, false),
      pull: fc.constantFrom(true, true, true, false),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(action, { minLength: 6, maxLength: 12 }), async (actions) => {
        const name = `history-${++count}.git`;
        const fixture = createFixture(root, name);
        fixture.commit({ ...FLEET, 'fleet.yaml': FLEET_YAML });
        const gitdir = path.join(root, `host-${count}`);
        const log: string[] = [];
        let accepted: string | null = null;
        const start = () => {
          const puller = createPuller(root, { url: backend.url(name), gitdir });
          puller.accepted = accepted;
          return puller;
        };
        let puller = start();
        for (const { file, do: what, restart, pull } of [
          ...actions,
          { file: 'fleet.yaml', do: 'add', restart: true, pull: true },
        ]) {
          const before = file === 'fleet.yaml' ? FLEET_YAML : null;
          fixture.commit({ [file]: what === 'add' ? `${before ?? ''}# added\n` : before });
          if (!pull) continue;
          if (restart) {
            log.push(...puller.log);
            accepted = puller.accepted;
            puller = start();
          }
          const { checkout } = await puller.pull();
          const now = texts(checkout);
          const wanted = git(fixture.work, 'ls-files', 'hosts/edge-1', 'fleet.yaml').split('\n');
          expect(Object.keys(now).sort()).toEqual(wanted.sort());
          for (const path of wanted) expect(now[path]).toBe(fs.readFileSync(`${fixture.work}/${path}`, 'utf8'));
        }
        expect([...log, ...puller.log]).toEqual([]);
        await eachAlone(gitdir);
      }),
      { numRuns: Math.ceil(HISTORIES / 200) },
    );
  },
  TIMEOUT,
);

test('a store of an earlier version with two objects that are deltas of each other is set aside, and fetched again', async () => {
  const fixture = createFixture(root, 'cycle.git');
  const commit = fixture.commit({ ...FLEET, 'fleet.yaml': FLEET_YAML });
  const gitdir = path.join(root, 'cycle');
  const first = createPuller(root, { url: backend.url('cycle.git'), gitdir });
  await first.pull();
  const packs = path.join(gitdir, 'objects/pack');
  rmSync(packs, { recursive: true });
  mkdirSync(packs);
  const blobOf = (content: string) => identified(Buffer.from(content));
  const [a, b] = [blobOf(FLEET_YAML), blobOf(`${FLEET_YAML}# added\n`)];
  // The first pack makes the others readable, as long as it exists.
  const kept = ['0', '1', '2'].map((n) => `pack-${n.repeat(40)}`);
  for (const [at, packed] of [whole(a), deltaOf(a, b.bytes), deltaOf(b, a.bytes)].entries()) {
    writeFileSync(path.join(packs, `${kept[at]}.pack`), packOf([packed]));
    await indexPack({ fs, dir: packs, gitdir, filepath: `${kept[at]}.pack` });
  }
  const objects = git(fixture.work, 'ls-tree', '-r', '-t', '--object-only', 'HEAD').split('\n');
  const rest = [commit, git(fixture.work, 'rev-parse', 'HEAD^{tree}'), ...objects].filter((oid) => oid !== a.oid);
  const all = rest.map((oid) => {
    const type = git(fixture.work, 'cat-file', '-t', oid) as 'blob';
    const bytes = fs.readFileSync(path.join(fixture.work, '.git/objects', oid.slice(0, 2), oid.slice(2)));
    return whole({ type, bytes: inflated(bytes) });
  });
  writeFileSync(path.join(packs, `pack-${'3'.repeat(40)}.pack`), packOf(all));
  await indexPack({ fs, dir: packs, gitdir, filepath: `pack-${'3'.repeat(40)}.pack` });
  for (const suffix of ['.pack', '.idx']) rmSync(path.join(packs, kept[0] + suffix));

  const next = createPuller(root, { url: backend.url('cycle.git'), gitdir });
  next.accepted = commit;
  backend.intercept((_, response) => {
    response.writeHead(401).end();
    return true;
  });
  await expect(next.pull()).rejects.toThrow();
  expect(readdirSync(packs)).toContain(`${kept[1]}.pack`);
  backend.intercept(null);
  for (let i = 0; i < 2; i++) expect(texts((await next.pull()).checkout)['fleet.yaml']).toBe(FLEET_YAML);
  expect(next.log).toEqual(['the object store is damaged; fetching it again', 'the object store was fetched again']);
  expect(readdirSync(path.join(`${gitdir}.aside`, 'objects/pack'))).toContain(`${kept[1]}.pack`);
  await eachAlone(gitdir);
});

/** A loose object without its header. */
const inflated = (bytes: Buffer): Buffer => {
  const all = zlib.inflateSync(bytes);
  return all.subarray(all.indexOf(0) + 1);
};
