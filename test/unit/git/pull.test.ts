/** Pulls from a real `git http-backend`: what is fetched, what is not, and how a damaged store recovers. */
import { createHash, randomBytes } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { unpack } from '../../../agent/git/pack/unpack.ts';
import { type Backend, createFixture, type Fixture, git, scratch, startBackend } from './backend.ts';
import { blobId } from './packs.ts';
import { createPuller, failure, type Puller, texts } from './pull.ts';

let root: string;
let backend: Backend;
let fixture: Fixture;
let puller: Puller;
let at = 0;

const fleet = (hosts: number): Record<string, string> => ({
  'fleet.yaml': 'name: test\n',
  'docs/x.md': 'x',
  'roles/web/a.yaml': '# web\n',
  'roles/db/a.yaml': '# db\n',
  'hosts/edge-1/host.yaml': 'roles: [web]\n',
  ...Object.fromEntries(
    Array.from({ length: hosts }, (_, i) => [0, 1, 2].map((k) => [`hosts/edge-${i}/f${k}`, `${i} ${k}\n`])).flat(),
  ),
});
const PART = [
  'fleet.yaml',
  'hosts/edge-1/f0',
  'hosts/edge-1/f1',
  'hosts/edge-1/f2',
  'hosts/edge-1/host.yaml',
  'roles/web/a.yaml',
];

/** A new process has nothing in memory. */
function restart(): Puller {
  const again = createPuller(root, { url: backend.url(`fleet-${at}.git`), gitdir: puller.gitdir });
  again.accepted = puller.accepted;
  return again;
}

beforeAll(async () => {
  root = scratch();
  backend = await startBackend(root);
});
afterAll(async () => {
  await backend.stop();
  rmSync(root, { recursive: true, force: true });
});
beforeEach(() => {
  at++;
  fixture = createFixture(root, `fleet-${at}.git`);
  puller = createPuller(path.join(root, `host-${at}`), { url: backend.url(`fleet-${at}.git`) });
  backend.intercept(null);
  backend.traffic();
});

/** Bytes that the server sent while `work` ran. */
async function received(work: Promise<unknown>): Promise<number> {
  backend.traffic();
  await work;
  return backend.traffic().received;
}

test('the first pull fetches this host and its roles, and reports the author of the commit', async () => {
  const commit = fixture.commit(fleet(200), 'The first\n\nand more');
  await puller.pull();
  const { requests, received } = backend.traffic();
  expect(received).toBeLessThan(8_000);
  // The refs; the commit and the path to the host; the host's own directory; its role.
  expect(requests).toBe(4);
  const { checkout } = await puller.pull();
  expect(Object.keys(texts(checkout)).sort()).toEqual(PART);
  expect(texts(checkout)['hosts/edge-1/f1']).toBe('1 1\n');
  expect(checkout?.info).toMatchObject({
    ref: 'main',
    commit,
    author: 'Ann <ann@example.com>',
    committer: 'Carl <carl@example.com>',
    subject: 'The first',
    signer: null,
  });
});

test('roles that may be named are fetched together with the host, small files only, and none if there are many', async () => {
  const roles = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`roles/r${i}/a.yaml`, `# ${i}\n`]));
  const big = { 'roles/db/big': randomBytes(9_000).toString('hex'), 'roles/web/big': 'x'.repeat(9_000) };
  fixture.commit({ ...fleet(20), ...big, 'roles/db/below/f': randomBytes(900).toString('hex') });
  let most = 0;
  let open = 0;
  backend.intercept((_, response) => {
    most = Math.max(most, ++open);
    response.once('close', () => open--);
    return false;
  });
  const { checkout } = await puller.pull();
  expect(most).toBe(2);
  expect(texts(checkout)['roles/web/big']).toHaveLength(9_000);
  // Neither large files nor deeper directories of a role that this host does not have.
  expect(backend.traffic()).toMatchObject({ requests: 5, received: expect.toSatisfy((n: number) => n < 3_000) });

  fixture.commit(roles(20));
  most = 0;
  const other = createPuller(path.join(root, `other-${at}`), { url: backend.url(path.basename(fixture.dir)) });
  expect(Object.keys(texts((await other.pull()).checkout))).toContain('roles/web/a.yaml');
  expect(most).toBe(1);
});

test('a poll is one request; a change of another host fetches next to nothing, a change of this host only that change', async () => {
  fixture.commit(fleet(200));
  await puller.pull();
  backend.traffic();
  await puller.head();
  const poll = backend.traffic();
  expect(poll).toMatchObject({ requests: 1, received: 65 });
  expect(poll.wire).toBeLessThanOrEqual(700);

  fixture.commit({ 'hosts/edge-7/f1': 'other\n' });
  const wide = await received(puller.pull());
  expect(wide).toBeLessThan(900);
  const same = (await puller.pull()).checkout;

  const big = fixture.commit({ 'hosts/edge-1/big': 'x'.repeat(200_000), 'hosts/edge-1/f1': 'ours\n' });
  const first = (await puller.pull()).checkout;
  expect(first?.info.content).not.toBe(same?.info.content);
  fixture.commit({ 'hosts/edge-1/f1': 'ours again\n' });
  const second = await received(puller.pull());
  expect(second).toBeLessThan(1_200);
  const { checkout } = await puller.pull();
  expect(texts(checkout)['hosts/edge-1/f1']).toBe('ours again\n');
  expect(texts(checkout)['hosts/edge-1/big']).toHaveLength(200_000);
  expect(big).not.toBe(puller.accepted);
});

test('if one file of a tree changed, only that file and its parent directories are fetched', async () => {
  const tree = Object.fromEntries(
    Array.from({ length: 60 }, (_, i) => [`hosts/edge-1/tree/d${i % 3}/f${i}`, randomBytes(1_000).toString('hex')]),
  );
  fixture.commit({ ...fleet(3), ...tree });
  expect(await received(puller.pull())).toBeGreaterThan(60_000);
  for (const text of ['one\n', 'two\n']) {
    fixture.commit({ 'hosts/edge-1/tree/d1/f1': text });
    expect(await received(puller.pull())).toBeLessThan(3_000);
    const { checkout } = await puller.pull();
    expect(texts(checkout)).toMatchObject({ ...tree, 'hosts/edge-1/tree/d1/f1': text });
  }
});

test('the commits since the last pull are reported, each with whether it concerned this host', async () => {
  fixture.commit(fleet(5));
  await puller.pull();
  fixture.commit({ 'hosts/edge-2/f1': 'x' }, 'For another');
  fixture.commit({ 'roles/web/a.yaml': '# new' }, 'For the role');
  fixture.commit({ 'roles/db/a.yaml': '# new' }, 'For another role');
  fixture.commit({ 'hosts/edge-1/f1': 'x' }, 'For us');
  const { checkout } = await puller.pull();
  expect(checkout?.info.commits?.map((c) => [c.subject, c.touched])).toEqual([
    ['For us', true],
    ['For another role', false],
    ['For the role', true],
    ['For another', false],
  ]);
  const before = checkout?.info.content;
  fixture.commit({ 'hosts/edge-3/f1': 'x' }, 'Not for us');
  expect((await puller.pull()).checkout?.info).toMatchObject({ content: before, commits: [{ touched: false }] });
});

test('merges of old branches fetch the branch, not the history before it', async () => {
  fixture.commit(fleet(3));
  for (let i = 0; i < 30; i++) fixture.commit({ 'docs/x.md': `${i}` });
  git(fixture.work, 'branch', 'side', 'HEAD~10');
  await puller.pull();
  git(fixture.work, 'checkout', '-q', 'side');
  writeFileSync(path.join(fixture.work, 'hosts/edge-1/f0'), 'from the side\n');
  git(fixture.work, 'commit', '-q', '-a', '-m', 'Side');
  git(fixture.work, 'checkout', '-q', 'main');
  git(fixture.work, 'merge', '-q', '--no-ff', '-m', 'Merge', 'side');
  const { review, checkout } = await puller.pull();
  expect(review.hold).toBeNull();
  expect(texts(checkout)['hosts/edge-1/f0']).toBe('from the side\n');
  expect(checkout?.info.commits?.map((c) => c.subject).sort()).toEqual(['Merge', 'Side']);
});

test('a role that is named later is fetched later, although the server assumes that we have it', async () => {
  fixture.commit(fleet(3));
  expect(Object.keys(texts((await puller.pull()).checkout))).not.toContain('roles/db/a.yaml');
  fixture.commit({ 'hosts/edge-1/host.yaml': 'roles: [web, db]\n', 'hosts/edge-1/copy': '2 2\n' });
  expect(texts((await puller.pull()).checkout)).toMatchObject({
    'roles/db/a.yaml': '# db\n',
    'hosts/edge-1/copy': '2 2\n',
  });
});

test('a branch that was rewound or rewritten is held, and followed if that is allowed', async () => {
  const first = fixture.commit(fleet(3), 'First');
  fixture.commit({ 'hosts/edge-1/f0': 'second' }, 'Second');
  await puller.pull();
  git(fixture.work, 'reset', '-q', '--hard', first);
  const rewound = await puller.pull();
  expect(rewound.checkout).toBeNull();
  expect(rewound.review.hold).toMatchObject({
    reason: 'HistoryRewritten',
    message: expect.stringContaining('"First"'),
  });

  fixture.commit({ 'hosts/edge-1/f0': 'instead' }, 'Instead');
  expect((await puller.pull()).review.hold?.reason).toBe('HistoryRewritten');
  const { checkout } = await puller.pull(true);
  expect(texts(checkout)['hosts/edge-1/f0']).toBe('instead');
  expect((await puller.pull()).review.hold).toBeNull();
});

const LARGE = 3_000_000;
/** Does not compress. */
const noise = (seed: string) =>
  createHash('shake256', { outputLength: LARGE }).update(seed).digest().toString('latin1');
const largeIn = (dir: string) => readdirSync(path.join(dir, 'objects/large')).sort();

test('large files are fetched one by one and stored beside the packs until they are no longer needed', async () => {
  const [one, two] = [noise('one'), noise('two')];
  fixture.commit({ ...fleet(3), 'hosts/edge-1/one': one, 'hosts/edge-2/one': noise('other'), 'roles/web/two': two });
  await puller.pull();
  expect(backend.traffic().requests).toBe(6);
  expect(largeIn(puller.gitdir)).toEqual([one, two].map((t) => blobId(Buffer.from(t))).sort());
  const packs = path.join(puller.gitdir, 'objects/pack');
  const sizes = readdirSync(packs).map((name) => statSync(path.join(packs, name)).size);
  expect(Math.max(...sizes)).toBeLessThan(3_000);

  fixture.commit({ 'hosts/edge-1/f0': 'after\n', 'hosts/edge-1/copy': two });
  backend.traffic();
  const { checkout } = await puller.pull();
  expect(backend.traffic().received).toBeLessThan(2_000);
  expect(texts(checkout)).toMatchObject({ 'hosts/edge-1/one': one, 'hosts/edge-1/copy': two, 'roles/web/two': two });

  fixture.commit({ 'hosts/edge-1/one': null });
  fixture.commit({ 'hosts/edge-1/f1': 'x1' });
  await puller.pull();
  fixture.commit({ 'hosts/edge-1/f1': 'y1' });
  await puller.pull();
  expect(largeIn(puller.gitdir)).toEqual([blobId(Buffer.from(two))]);
});

test('large files are found if the server sends them in its pack', async () => {
  const one = noise('one');
  const settings = { 'uploadpackfilter.blob:limit.allow': 'false' };
  for (const [key, value] of Object.entries(settings)) git(fixture.dir, 'config', key, value);
  fixture.commit({ ...fleet(3), 'hosts/edge-1/one': one });
  expect(texts((await puller.pull()).checkout)['hosts/edge-1/one']).toBe(one);
  git(fixture.dir, 'config', 'uploadpack.allowFilter', 'false');
  const whole = createPuller(path.join(root, `whole-${at}`), { url: backend.url(path.basename(fixture.dir)) });
  expect(texts((await whole.pull()).checkout)['hosts/edge-1/one']).toBe(one);
  const local = createPuller(path.join(root, `place-${at}`), { url: fixture.dir });
  expect(texts((await local.pull()).checkout)['hosts/edge-1/one']).toBe(one);
});

test('many files that a base has in another place are not requested one by one', async () => {
  const many = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`x${i}`, `${i}\n`]));
  const below = (dir: string) => Object.fromEntries(Object.entries(many).map(([n, text]) => [`${dir}/${n}`, text]));
  fixture.commit({ ...fleet(3), ...below('hosts/edge-2/lib') });
  await puller.pull();
  fixture.commit({ ...below('hosts/edge-1'), 'hosts/edge-1/one': noise('one') });
  backend.traffic();
  const { checkout } = await puller.pull();
  expect(backend.traffic().requests).toBeLessThan(8);
  expect(texts(checkout)).toMatchObject({ ...below('hosts/edge-1'), 'hosts/edge-1/one': noise('one') });
});

test('a server that lost our commits counts as a rewritten history', async () => {
  fixture.commit(fleet(3));
  puller.accepted = 'd'.repeat(40);
  expect((await puller.pull()).review.hold?.reason).toBe('HistoryRewritten');
});

test('the store stays small, whatever the number of commits', async () => {
  fixture.commit(fleet(20));
  const packs = path.join(puller.gitdir, 'objects/pack');
  for (let i = 0; i < 16; i++) {
    fixture.commit({ 'hosts/edge-1/f0': `${i}\n`, 'hosts/edge-2/f0': `${i}\n` });
    const { checkout } = await puller.pull();
    expect(texts(checkout)['hosts/edge-1/f0']).toBe(`${i}\n`);
    expect(readdirSync(packs).filter((name) => name.endsWith('.pack')).length).toBeLessThanOrEqual(14);
  }
  expect(readdirSync(puller.gitdir).sort()).toEqual(['complete.json', 'objects']);
});

test('large packs are not repacked because of small ones, until the small ones are as large', async () => {
  // Incompressible content.
  const noise = (seed: string) =>
    Array.from({ length: 8 }, (_, i) => createHash('sha256').update(`${seed} ${i}`).digest('hex')).join('\n');
  const many = (word: string) =>
    Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`hosts/edge-1/many/${i}`, noise(`${word} ${i}`)]));
  fixture.commit({ ...fleet(2), ...many('a') });
  await puller.pull();
  const packs = path.join(puller.gitdir, 'objects/pack');
  const largest = () => {
    const all = readdirSync(packs).filter((name) => name.endsWith('.pack'));
    return all.sort((a, b) => statSync(path.join(packs, b)).size - statSync(path.join(packs, a)).size)[0];
  };
  const first = largest();
  const fewest = [];
  for (let i = 0; i < 30; i++) {
    fixture.commit({ 'hosts/edge-1/f0': `${i}\n` });
    await puller.pull();
    expect(largest()).toBe(first);
    fewest.push(readdirSync(packs).filter((name) => name.endsWith('.pack')).length);
  }
  // The packs were merged again and again: one large pack, and one of all small ones.
  expect(fewest.filter((n) => n === 2).length).toBeGreaterThan(1);
  fixture.commit(many('b'));
  for (let i = 0; i < 14; i++) {
    await puller.pull();
    fixture.commit({ 'hosts/edge-1/f0': `b ${i}` });
  }
  await puller.pull();
  expect(readdirSync(packs)).not.toContain(first);
  // A new process reads all of it from there.
  const again = createPuller(root, { url: backend.url(`fleet-${at}.git`), gitdir: puller.gitdir });
  again.accepted = puller.accepted;
  backend.traffic();
  fixture.commit({ 'hosts/edge-1/f0': 'last\n' });
  const { checkout } = await again.pull();
  expect(texts(checkout)).toMatchObject({ 'hosts/edge-1/f0': 'last\n', ...many('b') });
  expect(backend.traffic().received).toBeLessThan(4_000);
  expect(again.log).toEqual([]);
});

test('a large pack that a crash left without its index is not used, and is removed', async () => {
  fixture.commit(fleet(2));
  await puller.pull();
  const packs = path.join(puller.gitdir, 'objects/pack');
  for (const suffix of ['.pack', '.whole']) writeFileSync(path.join(packs, `pack-x${suffix}`), Buffer.alloc(60_000));
  for (let i = 0; i < 16; i++) {
    fixture.commit({ 'hosts/edge-1/f0': `${i}\n` });
    expect(texts((await puller.pull()).checkout)['hosts/edge-1/f0']).toBe(`${i}\n`);
  }
  expect(readdirSync(packs).filter((name) => name.startsWith('pack-x'))).toEqual([]);
  expect(readdirSync(packs).filter((name) => name.endsWith('.pack')).length).toBeLessThanOrEqual(14);
  expect(puller.log).toEqual([]);
});

test('a run does not wait for the disk: fetched objects are in memory, and written after the run', async () => {
  fixture.commit(fleet(2));
  await puller.pull();
  const packs = path.join(puller.gitdir, 'objects/pack');
  const indexed = () => readdirSync(packs).filter((name) => name.endsWith('.idx')).length;
  const before = indexed();
  const again = restart();
  fixture.commit({ 'hosts/edge-1/f0': 'new\n' });
  const { checkout } = await again.begin();
  expect(texts(checkout)).toMatchObject({ 'hosts/edge-1/f0': 'new\n', 'hosts/edge-1/f1': '1 1\n' });
  expect(indexed()).toBe(before);
  // The next process continues from there.
  fixture.commit({ 'hosts/edge-1/f1': 'newer\n' });
  expect(texts((await again.pull()).checkout)).toMatchObject({
    'hosts/edge-1/f0': 'new\n',
    'hosts/edge-1/f1': 'newer\n',
  });
  expect(indexed()).toBeGreaterThan(before);
  expect(readdirSync(puller.gitdir).sort()).toEqual(['complete.json', 'objects']);
  expect(again.log).toEqual([]);
});

test('the unpacking process is started only for new objects, also after a restart', async () => {
  const begun: string[] = [];
  const counting = (accepted: () => string | null) =>
    createPuller(root, {
      ...{ url: backend.url(`fleet-${at}.git`), gitdir: puller.gitdir, accepted },
      unpacking: { begin: () => void begun.push('begun'), unpack, end: async () => undefined },
    });
  const first = fixture.commit(fleet(2));
  const before = counting(() => null);
  await before.pull();
  expect(begun.splice(0)).toEqual(['begun']);
  await before.head();
  await counting(() => first).head();
  expect(begun).toEqual([]);
  fixture.commit({ 'hosts/edge-1/f0': 'new\n' });
  await counting(() => first).head();
  expect(begun).toEqual(['begun']);
});

test('the commits and directories that a change report needs are not read from disk again', async () => {
  fixture.commit(fleet(200));
  await puller.pull();
  const packs = path.join(puller.gitdir, 'objects/pack');
  const elsewhere = path.join(root, `elsewhere-${at}`);
  mkdirSync(elsewhere);
  for (const name of readdirSync(packs).filter((n) => n.endsWith('.pack')))
    renameSync(path.join(packs, name), path.join(elsewhere, name));
  fixture.commit({ 'hosts/edge-2/f0': 'of another\n' });
  fixture.commit({ 'hosts/edge-1/f0': 'ours\n' });
  const { checkout } = await puller.begin();
  expect(puller.log).toEqual([]);
  expect(checkout?.info.commits?.map(({ touched }) => touched)).toEqual([true, false]);
  expect(texts(checkout)).toMatchObject({ 'hosts/edge-1/f0': 'ours\n', 'hosts/edge-1/f1': '1 1\n' });
  expect(puller.log).toEqual([]);
});

const damage: [string, (dir: string) => void][] = [
  ['packs cut short', (dir) => each(dir, '.pack', (f) => truncateSync(f, 20))],
  ['indexes cut short', (dir) => each(dir, '.idx', (f) => truncateSync(f, 1100))],
  ['indexes full of zeros', (dir) => each(dir, '.idx', (f) => writeFileSync(f, Buffer.alloc(2000)))],
  ['indexes that lead nowhere', (dir) => each(dir, '.idx', breakOffsets)],
  ['packs gone', (dir) => each(dir, '.pack', (f) => rmSync(f))],
  ['everything gone', (dir) => rmSync(dir, { recursive: true })],
  ['bits flipped all over each pack', (dir) => each(dir, '.pack', (f) => flip(f, 40))],
  ['a flipped bit in each pack', (dir) => each(dir, '.pack', (f) => flip(f))],
  ['a lie about what is complete', (dir) => each(dir, '.idx', (f) => rmSync(f))],
  [
    'a pack without its index, from a crash',
    (dir) => writeFileSync(path.join(dir, 'objects/pack/pack-x.pack'), 'half'),
  ],
  ['a half pack that was coming in', (dir) => put(`${dir}/incoming/new.pack`, 'PACK')],
  ['half a large file that was coming in', (dir) => put(`${dir}/incoming/${'a'.repeat(40)}`, 'half')],
  ['a half list of what is complete', (dir) => writeFileSync(path.join(dir, 'complete.json'), '["')],
  ['a crash while a damaged store was replaced', (dir) => renameSync(dir, `${dir}.old`)],
  ['a crash while a new store was filled', (dir) => put(`${dir}.new/objects/pack/pack-y.idx`, 'half')],
];
const damageToLarge: [string, (file: string) => void][] = [
  ['cut short', (file) => truncateSync(file, 1_000)],
  ['with a flipped bit', (file) => flip(file)],
  ['gone', (file) => rmSync(file)],
];
test.each(damageToLarge)('a large file that was %s is noticed, and fetched again', async (_, harm) => {
  const one = noise('one');
  fixture.commit({ ...fleet(3), 'hosts/edge-1/one': one });
  await puller.pull();
  harm(path.join(puller.gitdir, 'objects/large', blobId(Buffer.from(one))));
  fixture.commit({ 'hosts/edge-1/f0': 'after\n' });
  // A restarted daemon has no file in memory.
  const next = createPuller(root, { url: backend.url(path.basename(fixture.dir)), gitdir: puller.gitdir });
  for (let i = 0; i < 2; i++)
    expect(texts((await next.pull()).checkout)).toMatchObject({
      'hosts/edge-1/one': one,
      'hosts/edge-1/f0': 'after\n',
    });
  expect(largeIn(puller.gitdir)).toEqual([blobId(Buffer.from(one))]);
});

const each = (dir: string, suffix: string, act: (file: string) => void) => {
  const packs = path.join(dir, 'objects/pack');
  for (const name of readdirSync(packs)) if (name.endsWith(suffix)) act(path.join(packs, name));
};
function put(file: string, text: string): void {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
}
/** Flips a bit in the middle, or one bit at each multiple of this distance. */
function flip(file: string, each?: number): void {
  const bytes = readFileSync(file);
  const middle = Math.floor(bytes.length / 2);
  for (let at = each ?? middle; at < bytes.length; at += each ?? bytes.length) bytes[at] = (bytes[at] ?? 0) ^ 1;
  rmSync(file);
  writeFileSync(file, bytes);
}

const partsOf = (index: Buffer) => {
  const count = index.readUInt32BE(8 + 255 * 4);
  return { count, offsets: 1032 + 24 * count };
};
function breakOffsets(file: string): void {
  const index = readFileSync(file);
  const { count, offsets } = partsOf(index);
  writeFileSync(file, index.fill(0, offsets, offsets + 4 * count));
}

test.each(damage)('%s: noticed, and repaired by another fetch', async (_, harm) => {
  fixture.commit(fleet(3));
  await puller.pull();
  harm(puller.gitdir);
  fixture.commit({ 'hosts/edge-1/f0': 'after\n' });
  const restarted = restart();
  for (let i = 0; i < 2; i++) {
    const { review, checkout } = await restarted.pull();
    expect(review.hold).toBeNull();
    expect(Object.keys(texts(checkout)).sort()).toEqual(PART);
    expect(texts(checkout)['hosts/edge-1/f0']).toBe('after\n');
  }
  expect(existsSync(path.join(puller.gitdir, 'incoming'))).toBe(false);
});

const ofPacks = damage.filter(([name]) =>
  ['packs cut short', 'packs gone', 'bits flipped all over each pack'].includes(name),
);

test.each(ofPacks)(
  '%s, under an agent that has its objects in memory: nothing is lost, and the next start repairs it',
  async (_, harm) => {
    // A directory so large that its change is sent as a delta.
    fixture.commit(fleet(200));
    await puller.pull();
    harm(puller.gitdir);
    for (const text of ['one\n', 'two\n', 'three\n']) {
      fixture.commit({ 'hosts/edge-1/f0': text, 'hosts/edge-2/f0': text });
      const { checkout } = await puller.pull();
      expect(Object.keys(texts(checkout)).sort()).toEqual(PART);
      expect(texts(checkout)['hosts/edge-1/f0']).toBe(text);
    }
    const next = restart();
    for (let i = 0; i < 2; i++) expect(texts((await next.pull()).checkout)['hosts/edge-1/f0']).toBe('three\n');
    expect(next.log).toEqual(['the object store is damaged; fetching it again', 'the object store was fetched again']);
  },
);

test('a file takes no more memory than its size, whether it was just fetched or is read from disk', async () => {
  const payload = Array.from({ length: 200 }, (_, i) => [`hosts/edge-1/f${i}`, randomBytes(2_000).toString('hex')]);
  fixture.commit(Object.fromEntries(payload));
  const again = () => createPuller(root, { url: backend.url(`fleet-${at}.git`), gitdir: puller.gitdir });
  for (const from of [puller, again()]) {
    const { checkout } = await from.pull();
    const buffers = new Set([...(checkout?.files.values() ?? [])].map(({ buffer }) => buffer));
    const kept = [...buffers].reduce((sum, { byteLength }) => sum + byteLength, 0);
    expect(checkout?.files.size).toBe(200);
    // Some of Node's buffer pools are never full.
    expect(kept).toBeLessThan(1.5 * 200 * 4_000);
  }
});

const MANY = Array.from({ length: 60 }, (_, i) => `file ${i}\n`.repeat(40));
test.each([
  ['as they came', () => undefined, false],
  ['with an index that leads astray', (dir: string) => each(dir, '.idx', swapOffsets), true],
  ['with bits flipped all over', (dir: string) => each(dir, '.pack', (file) => flip(file, 40)), true],
  ['beside a pack that a crash left without its index', (dir: string) => put(`${dir}/objects/pack/pack-0.pack`, 'half'), false], // biome-ignore format: one line
] as const)('many files of earlier commits are read from disk: %s', async (_, harm, anew) => {
  const many = Object.fromEntries(MANY.map((text, i) => [`hosts/edge-1/many/f${i}`, text]));
  fixture.commit({ ...fleet(3), ...many });
  // Then most of them are sent as deltas.
  git(fixture.dir, 'repack', '-q', '-a', '-d', '-f');
  await puller.pull();
  harm(puller.gitdir);
  const after = { 'hosts/edge-1/many/f0': 'after\n' };
  fixture.commit(after);
  // A restarted daemon has no file in memory.
  const next = createPuller(root, { url: backend.url(path.basename(fixture.dir)), gitdir: puller.gitdir });
  next.accepted = puller.accepted;
  expect(texts((await next.pull()).checkout)).toMatchObject({ ...many, ...after });
  expect(next.log.some((line) => line.includes('damaged'))).toBe(anew);
});

test('a damaged index is removed: no reader follows it, even if another pack has the same objects', async () => {
  fixture.commit(fleet(3));
  await puller.pull();
  const packs = path.join(puller.gitdir, 'objects/pack');
  each(puller.gitdir, '.idx', (file) => {
    const name = file.slice(0, -'.idx'.length);
    // The pack whose name sorts first is asked first.
    for (const suffix of ['.idx', '.pack'])
      copyFileSync(name + suffix, path.join(packs, `pack-0-${path.basename(name)}${suffix}`));
  });
  each(puller.gitdir, '.idx', (file) => path.basename(file).startsWith('pack-0-') && breakOffsets(file));
  const next = createPuller(root, { url: backend.url(path.basename(fixture.dir)), gitdir: puller.gitdir });
  fixture.commit({ 'hosts/edge-1/f0': 'after\n' });
  expect(texts((await next.pull()).checkout)['hosts/edge-1/f0']).toBe('after\n');
  expect(next.log).toEqual([]);
  expect(readdirSync(packs).filter((name) => /^pack-0-.*idx$/.test(name))).toEqual([]);
});

/**
 * In a pack index of version 2 the offsets follow the ids and checksums: here each object of `MANY` gets another one's offset.
 */
function swapOffsets(file: string): void {
  const index = readFileSync(file);
  const { count, offsets } = partsOf(index);
  const blobs = new Set(MANY.map((text) => blobId(Buffer.from(text))));
  const ids = Array.from({ length: count }, (_, i) => index.toString('hex', 1032 + 20 * i, 1052 + 20 * i));
  const places = ids.flatMap((id, i) => (blobs.has(id) ? [offsets + 4 * i] : []));
  const were = places.map((place) => index.readUInt32BE(place));
  for (const [i, place] of places.entries()) index.writeUInt32BE(were[(i + 1) % were.length] ?? 0, place);
  createHash('sha1')
    .update(index.subarray(0, -20))
    .digest()
    .copy(index, index.length - 20);
  writeFileSync(file, index);
}

test('a damaged store is kept until the new one is complete', async () => {
  fixture.commit(fleet(3));
  await puller.pull();
  const packs = path.join(puller.gitdir, 'objects/pack');
  each(puller.gitdir, '.pack', (f) => flip(f));
  const before = readdirSync(packs);
  fixture.commit({ 'hosts/edge-1/f0': 'after\n' });
  backend.intercept((_, response) => {
    response.writeHead(401).end();
    return true;
  });
  expect(await failure(puller.pull())).toMatch(/AuthenticationFailed/);
  expect(readdirSync(packs)).toEqual(before);
  backend.intercept(null);
  expect(texts((await puller.pull()).checkout)['hosts/edge-1/f0']).toBe('after\n');
});

test('servers without filters, or with version 0 only, send the complete commit; the log says so once', async () => {
  fixture.commit(fleet(30));
  git(fixture.dir, 'config', 'uploadpack.allowFilter', 'false');
  const url = backend.url(path.basename(fixture.dir));
  const old = createPuller(path.join(root, `old-${at}`), { url });
  const plain = createPuller(path.join(root, `plain-${at}`), { url });
  for (const [host, version0] of [
    [plain, false],
    [old, true],
  ] as const) {
    backend.intercept((request) => {
      if (version0) delete request.headers['git-protocol'];
      return false;
    });
    for (const text of ['one', 'two', 'three']) {
      fixture.commit({ 'hosts/edge-1/f0': text });
      const { checkout, review } = await host.pull();
      expect([review.hold, texts(checkout)['hosts/edge-1/f0']]).toEqual([null, text]);
    }
    expect(Object.keys(texts((await host.pull()).checkout)).sort()).toEqual(PART);
    git(fixture.work, 'reset', '-q', '--hard', 'HEAD~1');
    expect((await host.pull()).review.hold?.reason).toBe('HistoryRewritten');
    expect(host.log).toEqual([
      expect.stringContaining(version0 ? 'version 0 of the git protocol' : 'uploadpack.allowFilter'),
    ]);
  }
});

test.each([
  ['deep trees', { 'uploadpackfilter.tree.maxDepth': '0' }, null],
  ['combined filters', { 'uploadpackfilter.combine.allow': 'false' }, null],
  [
    'all filters except those of blobs',
    { 'uploadpackfilter.allow': 'false', 'uploadpackfilter.blob:none.allow': 'true' },
    'refuses to filter trees',
  ],
])('a server that refuses %s is asked for less', async (_, settings, log) => {
  // biome-ignore format: a table
  const before = fixture.commit(fleet(30));
  for (const [key, value] of Object.entries(settings)) git(fixture.dir, 'config', key, value);
  expect(Object.keys(texts((await puller.pull()).checkout)).sort()).toEqual(PART);
  fixture.commit({ 'hosts/edge-1/f0': 'after\n' });
  backend.traffic();
  expect(texts((await puller.pull()).checkout)['hosts/edge-1/f0']).toBe('after\n');
  expect(puller.accepted).not.toBe(before);
  expect(puller.log).toEqual(log === null ? [] : [expect.stringContaining(log)]);
});

test('tags, patterns, commit ids and the default branch are found, in packed refs as well', async () => {
  const url = backend.url(path.basename(fixture.dir));
  const first = fixture.commit(fleet(2), 'First');
  git(fixture.work, 'tag', '-a', 'v1.9.0', '-m', 'nine');
  const second = fixture.commit({ 'hosts/edge-1/f0': '2' }, 'Second');
  git(fixture.work, 'tag', 'v1.10.0');
  git(fixture.dir, 'pack-refs', '--all');
  for (const where of [url, fixture.dir]) {
    for (const [ref, commit] of [
      ['v1.9.0', first],
      ['v1.*', second],
      [first, first],
      ['HEAD', second],
      ['refs/heads/main', second],
    ]) {
      const host = createPuller(path.join(root, `ref-${at}-${ref}`), { url: where, ref: ref as string });
      expect((await host.pull()).checkout?.info.commit, `${ref} of ${where}`).toBe(commit);
    }
    const wrong = createPuller(path.join(root, `wrong-${at}`), { url: where, ref: 'nope' });
    expect(await failure(wrong.pull())).toMatch(/RefNotFound: .*no branch or tag `nope`; its branches are main/);
  }
});

test('a path on this machine is read in place, with the same rules', async () => {
  const first = fixture.commit(fleet(3));
  fixture.commit({ 'hosts/edge-1/f0': 'second' });
  const host = createPuller(path.join(root, `local-${at}`), { url: fixture.work });
  const { checkout } = await host.pull();
  expect(Object.keys(texts(checkout)).sort()).toEqual(PART);
  git(fixture.work, 'reset', '-q', '--hard', first);
  expect((await host.pull()).review.hold?.reason).toBe('HistoryRewritten');
  expect(await failure(createPuller(root, { url: path.join(root, 'none') }).pull())).toMatch(/no git repository/);
});

test('a repository with SHA-256 ids is refused before anything is fetched', async () => {
  git(root, 'init', '-q', '--bare', '--object-format=sha256', path.join(root, `sha256-${at}.git`));
  for (const url of [backend.url(`sha256-${at}.git`), path.join(root, `sha256-${at}.git`)])
    expect(await failure(createPuller(path.join(root, 'x'), { url }).pull())).toMatch(
      /^UnsupportedRepository.*SHA-256/,
    );
});

test('an empty repository and a missing one have different errors', async () => {
  expect(await failure(puller.pull())).toMatch(/RefNotFound: .* is empty: no branch was pushed to it yet/);
  git(root, 'init', '-q', '--bare', path.join(root, `empty-${at}.git`));
  const local = createPuller(path.join(root, 'x'), { url: path.join(root, `empty-${at}.git`) });
  expect(await failure(local.pull())).toMatch(/RefNotFound: .* is empty: no branch was pushed to it yet/);
  const none = createPuller(path.join(root, 'none'), { url: backend.url('none.git') });
  expect(await failure(none.pull())).toMatch(/RepositoryUnreachable: .*answered 404.*no such repository/);
});

test('a missing host directory is no host; the rest is still known', async () => {
  const commit = fixture.commit({ 'hosts/other/f': 'x' });
  const { checkout } = await puller.pull();
  expect([checkout?.hostExists, checkout?.info.commit, checkout?.files.size]).toEqual([false, commit, 0]);
});
