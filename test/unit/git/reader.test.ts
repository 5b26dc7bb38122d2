/**
 * The process that reads foreign bytes: it yields the same results as the code in this process, it has no rights, and its end
 * affects nothing else.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Identified, idOf, type Whole } from '../../../agent/git/pack/objects.ts';
import { openChannel } from '../../../agent/git/reader/reader.ts';
import { createUnpacking, type Unpacking } from '../../../agent/git/reader/unpacking.ts';
import { silentLog } from '../../../agent/log.ts';
import { type Confined, confined } from '../../../agent/system/confined.ts';
import { createFixture, scratch, startBackend } from './backend.ts';
import { blob, blobId, deltaOf, LIMITS, packOf, stream, whole } from './packs.ts';
import { createPuller, failure, texts } from './pull.ts';

let dir: string;
let script: string;
const isRoot = process.getuid?.() === 0;
const open: Unpacking[] = [];

beforeAll(async () => {
  dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-reader-'));
  script = path.join(dir, 'reader.cjs');
  const entry = path.join(import.meta.dirname, '../../../agent/git/reader/child.ts');
  await build({
    entryPoints: [entry],
    outfile: script,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node22',
  });
  // Another user reads it in these tests.
  chmodSync(dir, 0o755);
});
afterEach(async () => {
  for (const one of open.splice(0)) await one.stop();
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

const waysFor = (file: string): Confined[] =>
  confined({ script: file, node: process.execPath, uid: process.getuid?.() ?? 0, slot: process.pid }).filter(
    ({ name }) => name !== 'systemd',
  );

function unpacking(file = script, log = silentLog): Unpacking {
  const made = createUnpacking({ ways: waysFor(file), log });
  open.push(made);
  return made;
}

async function all(
  by: Unpacking,
  pack: AsyncIterable<Uint8Array>,
  given: Partial<Parameters<Unpacking['unpack']>[1]> = {},
) {
  const objects = new Map<string, Whole>();
  let pieces: Buffer[] = [];
  await by.unpack(pack, {
    limits: LIMITS,
    base: async (oid) => objects.get(oid) ?? null,
    object: async ({ oid, ...object }) => void objects.set(oid, object),
    piece: async (bytes) => void pieces.push(Buffer.from(bytes)),
    async large() {
      const bytes = Buffer.concat(pieces);
      pieces = [];
      objects.set(blobId(bytes), { type: 'blob', bytes });
    },
    ...given,
  });
  return objects;
}

const object = (text: string): Identified => {
  const found = { type: 'blob' as const, bytes: Buffer.from(text) };
  return { ...found, oid: idOf(found) };
};
/** Scripts that misbehave in place of the reader, after they reported that they are ready. */
function harmful(name: string, body: string): string {
  const file = path.join(dir, `${name}.mjs`);
  const ready = "import fs from 'node:fs'; fs.writeSync(1, Buffer.from([104, 0, 0, 0, 0]));";
  writeFileSync(file, `${ready}\n${body}`);
  return file;
}

test('packs of all kinds are read, one after the other and in parallel', async () => {
  const by = unpacking();
  by.begin();
  const [a, b] = [object('one\n'.repeat(100)), object(`${'one\n'.repeat(100)}two\n`)];
  const large = Buffer.alloc(3_000_000, 'large ');
  const tree = whole({ type: 'tree', bytes: Buffer.from(`100644 x\0${'i'.repeat(20)}`) });
  const packs = [
    packOf([whole(a), deltaOf(a, b.bytes), tree]),
    packOf([{ claims: large.length, content: large }, blob('small')]),
    packOf([deltaOf(a, b.bytes)]),
    packOf([]),
  ];
  const [first, second, thin, none] = await Promise.all(
    packs.map((pack) =>
      all(by, stream(pack.subarray(0, 50), pack.subarray(50)), { base: async (oid) => (oid === a.oid ? a : null) }),
    ),
  );
  expect([...(first?.keys() ?? [])].slice(0, 2)).toEqual([a.oid, b.oid]);
  expect(first?.size).toBe(3);
  expect(Buffer.from(second?.get(blobId(large))?.bytes ?? []).equals(large)).toBe(true);
  expect([second?.size, thin?.size, none?.size]).toEqual([2, 1, 0]);
  await by.end();
});

test('errors have the same code as in this process, and the next pack is read', async () => {
  const by = unpacking();
  expect(await failure(all(by, stream(Buffer.alloc(100, 7))))).toMatch(
    /^ProtocolError: invalid response from the git server: what it sent is no pack/,
  );
  expect(await failure(all(by, stream(packOf([blob('x'), blob('y')])), { limits: { ...LIMITS, objects: 1 } }))).toMatch(
    /^FetchOverBudget: .*its pack has 2 objects; what was asked for has 1 at most/,
  );
  const stopped = (async function* () {
    yield packOf([blob('x')]).subarray(0, 20);
    throw new Error('the connection was reset');
  })();
  expect(await failure(all(by, stopped))).toMatch(/the connection was reset/);
  expect((await all(by, stream(packOf([blob('x')])))).size).toBe(1);
});

test('a pull from a real server works, and leaves no process behind', async () => {
  const root = scratch();
  const backend = await startBackend(root);
  const fixture = createFixture(root);
  const large = 'x'.repeat(1_500_000);
  const files = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`hosts/edge-1/f${i}`, `${i}\n`.repeat(100)]));
  fixture.commit({ ...files, 'hosts/edge-1/large': large });
  const puller = createPuller(root, { url: backend.url('fleet.git'), unpacking: unpacking() });
  expect(texts((await puller.pull()).checkout)).toEqual({ ...files, 'hosts/edge-1/large': large });
  fixture.commit({ 'hosts/edge-1/f0': 'after\n' });
  expect(texts((await puller.pull()).checkout)['hosts/edge-1/f0']).toBe('after\n');
  await expect.poll(() => running(script)).toEqual([]);
  expect(puller.log).toEqual([]);
  await backend.stop();
  rmSync(root, { recursive: true, force: true });
});

/** Processes with this text in their command line. */
const running = (word: string): string[] =>
  readdirSync('/proc').filter((pid) => {
    const file = `/proc/${pid}/cmdline`;
    try {
      return /^\d+$/.test(pid) && existsSync(file) && readFileSync(file, 'utf8').includes(word);
    } catch {
      return false;
    }
  });

const SAY =
  'const say = (kind, hex) => { const b = Buffer.from(hex, "hex"); const h = Buffer.alloc(5); h.write(kind); h.writeUInt32BE(b.length, 1); fs.writeSync(1, Buffer.concat([h, b])); }';
const says = (kind: string, hex: string) => `${SAY}; say('${kind}', '${hex}'); setInterval(() => {}, 1000);`;

test.each([
  ['that takes all memory', 'const all = []; for (;;) all.push(Buffer.alloc(64 * 1024 * 1024, 1));'],
  ['that ends', 'process.exit(3);'],
  [
    'that says what it may not',
    "fs.writeSync(1, Buffer.from('Zab')); fs.writeSync(1, Buffer.alloc(2)); setInterval(() => {}, 1000);",
  ],
  ['that says too much', 'fs.writeSync(1, Buffer.from([111, 255, 255, 255, 255])); setInterval(() => {}, 1000);'],
  [
    'that says an object of no type',
    'fs.writeSync(1, Buffer.from([111, 0, 0, 0, 2, 9, 9])); setInterval(() => {}, 1000);',
  ],
  ['that says half a size', says('l', '0000')],
  ['that says a size that is none', says('p', '7ff8000000000000ff')],
  ['that says a size below nothing', says('l', 'c000000000000000')],
  ['that asks for half an id', says('b', '0102')],
  ['that says what is wrong in no words', says('x', 'ffff')],
  ['that says what is wrong by nothing', says('x', Buffer.from('null').toString('hex'))],
  ['that wants more after the end', `for (;;) { ${SAY}; say('w', ''); }`],
])('a reader that %s is one error, and no more', async (name, body) => {
  const by = unpacking(harmful(name.replaceAll(' ', '-'), body));
  expect(await failure(all(by, stream(packOf([blob('x')]))))).toMatch(
    /^PackUnreadable: cannot unpack the data of the git server: /,
  );
});

test('a reader that returns more than its limit is killed', async () => {
  const by = unpacking(
    harmful(
      'more',
      'const o = Buffer.concat([Buffer.from([111, 0, 0, 0, 9, 2]), Buffer.alloc(8)]); for (;;) fs.writeSync(1, o);',
    ),
  );
  expect(await failure(all(by, stream(packOf([blob('x')]))))).toMatch(/^FetchOverBudget/);
});

test.each([
  ['says nothing', 'setInterval(() => {}, 1000);'],
  ['reads nothing', `${SAY}; say('w', ''); say('w', ''); setInterval(() => {}, 1000);`],
  // Its child process keeps its streams open, as a process that systemd-run started does.
  ['left another in its place', 'if (process.argv[2] !== "again") setInterval(() => {}, 1000);'],
])('a reader that %s is killed, and so is the fetch', async (name, body) => {
  const file = harmful(name.replaceAll(' ', '-'), body);
  const [way] = waysFor(file);
  if (way === undefined) throw new Error('there is no way');
  const argv = name.startsWith('left') ? ['/bin/sh', '-c', 'sleep 30 & exec "$0" "$@"', ...way.argv] : way.argv;
  const by = createUnpacking({ ways: [{ ...way, argv }], log: silentLog, silenceMs: 300 });
  expect(await failure(all(by, stream(packOf([blob('x')]), Buffer.alloc(4_000_000))))).toMatch(
    /^PackUnreadable: .*said nothing for 0.3 s/,
  );
  await by.end();
  expect(running(file)).toEqual([]);
});

test('a reader that starts more slowly than the idle limit reads its pack, also if the next fetch begins meanwhile', async () => {
  const [way] = waysFor(script);
  if (way === undefined) throw new Error('there is no way');
  const slow = { ...way, argv: ['/bin/sh', '-c', 'sleep 1; exec "$0" "$@"', ...way.argv] };
  const by = createUnpacking({ ways: [slow], log: silentLog, idleMs: 50 });
  open.push(by);
  by.begin();
  const slowly = (async function* () {
    const pack = packOf([blob('x')]);
    yield pack.subarray(0, 20);
    by.begin();
    await new Promise((resolve) => setTimeout(resolve, 200));
    yield pack.subarray(20);
  })();
  expect((await all(by, slowly)).size).toBe(1);
});

test('a reader that gets no pack ends by itself', async () => {
  const [way] = waysFor(script);
  if (way === undefined) throw new Error('there is no way');
  // It may have ended before the test searches for it, so it writes its process id.
  const number = path.join(dir, 'number');
  const argv = ['/bin/sh', '-c', 'echo $$ > "$0"; exec "$@"', number, ...way.argv];
  const by = createUnpacking({ ways: [{ ...way, argv }], log: silentLog, idleMs: 50 });
  open.push(by);
  by.begin();
  await expect.poll(() => existsSync(number) && readFileSync(number, 'utf8').trim()).toMatch(/^\d+$/);
  const pid = readFileSync(number, 'utf8').trim();
  await expect.poll(() => existsSync(`/proc/${pid}`)).toBe(false);
  expect(running(script)).toEqual([]);
});

test("of a reader's stderr only a little is logged", async () => {
  const by = unpacking(harmful('talks', "fs.writeSync(2, '\\x1b[31mred'.repeat(8_000)); process.exit(3);"));
  const message = await failure(all(by, stream(packOf([blob('x')]))));
  expect(message).toMatch(/^PackUnreadable: .*ended with 3.*red/);
  expect(message.length).toBeLessThan(500);
});

test('a reader that requests without end is killed', async () => {
  const by = unpacking(harmful('asks', `${SAY}; for (;;) say('b', '${'ab'.repeat(20)}');`));
  expect(await failure(all(by, stream(packOf([blob('x')])), { limits: { ...LIMITS, objects: 50 } }))).toMatch(
    /^FetchOverBudget/,
  );
});

const TRIES = `
  import net from 'node:net'; import child from 'node:child_process';
  const said = {};
  const attempt = (name, work) => { try { said[name] = work() ?? 'done'; } catch (e) { said[name] = 'no: ' + (e.code ?? e.message); } };
  attempt('shadow', () => { fs.readFileSync('/etc/shadow'); });
  attempt('list', () => { fs.readdirSync('/root'); });
  attempt('write', () => { fs.writeFileSync('/tmp/fairlead-was-here', ''); });
  attempt('run', () => { const { error } = child.spawnSync('/bin/true'); if (error) throw error; });
  attempt('memory', () => { const all = []; for (let i = 0; i < 32; i++) all.push(Buffer.alloc(64 * 1024 * 1024, 1)); });
  said.uid = process.getuid();
  const tell = (how) => { said.connect = how; fs.writeSync(2, JSON.stringify(said)); process.exit(0); };
  net.connect(Number(process.argv[2] ?? PORT), '127.0.0.1').on('connect', () => tell('done')).on('error', (e) => tell('no: ' + e.code));
`;

test('code in a reader cannot read, write, start, connect, or take much memory', async () => {
  const server = net.createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const file = harmful('tries', TRIES.replace('PORT', String(port)));
  const [way] = waysFor(file);
  if (way === undefined) throw new Error('there is no way');
  const [program = '', ...args] = way.argv;
  const { stderr } = spawnSync(program, args, {
    env: { PATH: '/usr/bin:/bin', ...way.env },
    encoding: 'utf8',
    input: '',
  });
  const said = JSON.parse(stderr.slice(stderr.indexOf('{')));
  expect(said).toMatchObject({
    shadow: 'no: ERR_ACCESS_DENIED',
    list: 'no: ERR_ACCESS_DENIED',
    write: 'no: ERR_ACCESS_DENIED',
    run: 'no: ERR_ACCESS_DENIED',
    memory: expect.stringMatching(/^no: /),
  });
  if (isRoot) {
    expect(said.uid).toBeGreaterThan(60_000);
    // A network namespace of its own, if this machine can create one.
    if (way.name === 'setpriv') expect(said.connect).toMatch(/^no: /);
  }
  server.close();
});

test('each sandbox that this machine supports yields the same result', async () => {
  for (const way of waysFor(script)) {
    const by = createUnpacking({ ways: [way], log: silentLog });
    open.push(by);
    expect((await all(by, stream(packOf([blob('x')])))).size, way.name).toBe(1);
    await by.end();
  }
  // If only a shell is available, the shell too runs as another user with limited memory.
  const way = waysFor(harmful('shell', TRIES.replace('PORT', '9'))).at(-1);
  if (way === undefined) throw new Error('there is no way');
  expect(way.name).toBe('sh');
  const [program = '', ...args] = way.argv;
  const { uid } = way;
  const options = { ...(uid === undefined ? {} : { uid, gid: uid }), cwd: '/', encoding: 'utf8' as const, input: '' };
  const { stderr } = spawnSync(program, args, { ...options, env: { PATH: '/usr/bin:/bin', ...way.env } });
  expect(JSON.parse(stderr.slice(stderr.indexOf('{')))).toMatchObject({
    shadow: expect.stringMatching(/^no: /),
    run: expect.stringMatching(/^no: /),
    memory: expect.stringMatching(/^no: /),
    ...(isRoot ? { uid } : {}),
  });
});

test.skipIf(!isRoot)(
  'without the right to change the bounding set, as in its own unit, setpriv confines it as well',
  async () => {
    const options = { script, node: process.execPath, uid: 0, slot: process.pid, hasSystemd: false, mayBound: false };
    const ways = confined(options).filter(({ name }) => name.startsWith('setpriv'));
    for (const way of ways) {
      // Newer versions of setpriv fail without that right, older ones ignore it.
      expect(way.argv.filter((word) => word.startsWith('--bounding-set'))).toEqual([]);
      const argv = ['setpriv', '--bounding-set=-setpcap', ...way.argv];
      const by = createUnpacking({ ways: [{ ...way, argv }], log: silentLog });
      open.push(by);
      expect((await all(by, stream(packOf([blob('x')])))).size, way.name).toBe(1);
      await by.end();
    }
    expect(ways.map(({ name }) => name)).toEqual(['setpriv', 'setpriv without namespaces']);
  },
);

test.skipIf(!isRoot)(
  'agents on one kernel read at the same time if their users differ: the kernel counts the threads of a user',
  async () => {
    /** The first process stays for a while when the second one starts. */
    const readOneByOne = async (slots: number[]) => {
      const results: string[] = [];
      for (const slot of slots) {
        const given = { script, node: process.execPath, uid: 0, slot, hasSystemd: false };
        const ways = confined(given).filter(({ name }) => name === 'setpriv without namespaces');
        const by = createUnpacking({ ways, log: silentLog });
        open.push(by);
        const [{ status }] = await Promise.allSettled([all(by, stream(packOf([blob('x')])))]);
        results.push(status);
      }
      for (const by of open.splice(0)) await by.stop();
      return results;
    };
    expect(await readOneByOne([500, 501])).toEqual(['fulfilled', 'fulfilled']);
    expect(await readOneByOne([500, 500])).toEqual(['fulfilled', 'rejected']);
  },
);

test('slow steps are prepared between fetches: a shell waits, the next fetch uses it, and all of it ends', async () => {
  const [way] = waysFor(script);
  if (way === undefined) throw new Error('there is no way');
  const waiting = ['/bin/sh', '-c', 'read -r line && exec "$0" "$@"', ...way.argv];
  let starts = 0;
  const named = () => {
    starts++;
    return { argv: way.argv, waiting, kill: [] };
  };
  const by = createUnpacking({ ways: [{ ...way, named }], log: silentLog });
  open.push(by);
  const fetched = async () => {
    expect((await all(by, stream(packOf([blob('x')])))).size).toBe(1);
    await by.end();
    expect(running(script)).toEqual([]);
  };
  const shell = async () => {
    by.prepare();
    let pids: string[] = [];
    await expect
      .poll(() => {
        pids = running(script);
        return pids.map((pid) => readFileSync(`/proc/${pid}/comm`, 'utf8').trim());
      })
      .toEqual(['sh']);
    return Number(pids[0]);
  };
  await fetched();
  const first = await shell();
  by.prepare();
  by.begin();
  await expect.poll(() => readFileSync(`/proc/${first}/comm`, 'utf8').trim()).not.toBe('sh');
  // While a process executes another program, its command line is empty for a moment.
  await expect.poll(() => running(script)).toEqual([String(first)]);
  await fetched();
  expect(starts).toBe(2);
  // A shell that is killed while it waits costs the next fetch only time.
  process.kill(await shell(), 'SIGKILL');
  await fetched();
  await shell();
  await by.stop();
  expect(running(script)).toEqual([]);
  by.prepare();
  await expect(all(by, stream(packOf([blob('x')]))).then(({ size }) => size)).resolves.toBe(1);
});

test('if no process can be started that is one error; a sandbox that fails is skipped for the next one', async () => {
  const said: string[] = [];
  const say = (_: object, message: string) => void said.push(message);
  const log = { ...silentLog, warn: say };
  const broken = { name: 'broken', argv: ['/nonexistent'] };
  const none = createUnpacking({ ways: [broken], log });
  expect(await failure(all(none, stream(packOf([blob('x')]))))).toMatch(/^PackUnreadable: .*broken: /);
  const by = createUnpacking({ ways: [broken, ...waysFor(script)], log });
  open.push(by);
  for (let i = 0; i < 2; i++) expect((await all(by, stream(packOf([blob('x')])))).size).toBe(1);
  expect(said.length).toBeGreaterThanOrEqual(2);
  await expect(openChannel(broken)).rejects.toThrow(/broken/);
});
