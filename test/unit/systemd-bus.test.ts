/** systemd's answers over a real bus protocol, beside a client that forges them, as every local user can. */
import { getEventListeners } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import dbus, { type DBusBroker, type MessageBus } from 'dbus-native';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openSystemdBus } from '../../agent/system/systemd/bus.ts';
import { withoutLarge } from '../../agent/system/systemd/bus-socket.ts';
import { createSystemdSignals } from '../../agent/system/systemd/signals.ts';
import { createSystemd, type Systemd } from '../../agent/system/systemd/systemd.ts';

const NAME = 'org.freedesktop.systemd1';
const PATH = '/org/freedesktop/systemd1';
const MANAGER = `${NAME}.Manager`;
const PROPERTIES = 'org.freedesktop.DBus.Properties';
const SIGNAL = 4;

let dir: string;
let socket: string;
let broker: DBusBroker;
let systemd: Systemd;
let clients: MessageBus[];

async function client(): Promise<MessageBus> {
  const bus = dbus.createClient({ busAddress: `unix:path=${socket}`, authMethods: ['EXTERNAL'] });
  clients.push(bus);
  // A broker that closes may reset the connection.
  for (const end of [bus, bus.connection]) end.on('error', () => undefined);
  await bus.invoke({
    destination: 'org.freedesktop.DBus',
    path: '/org/freedesktop/DBus',
    interface: 'org.freedesktop.DBus',
    member: 'GetId',
  });
  return bus;
}

/** The client that owns systemd's name and queues jobs; the test ends them. */
interface Fake {
  bus: MessageBus;
  /** Paths of the requested jobs. */
  jobs: string[];
  /** Unique names of the subscribers. */
  subscribers: string[];
  end(job: string, result: string): void;
}

/** @param jobFirst the result of each job, sent before its path @param refusals how many subscriptions it refuses at first */
async function fakeSystemd(
  jobFirst?: string,
  refusals = 0,
  prepare: (fake: Fake) => void = () => undefined,
): Promise<Fake> {
  const bus = await client();
  const fake: Fake = {
    bus,
    jobs: [],
    subscribers: [],
    end: (job, result) => bus.sendSignal(PATH, MANAGER, 'JobRemoved', 'uoss', [1, job, 'a.service', result]),
  };
  const on = (member: string, signature: string, act: (sender: string) => unknown) =>
    bus.setMethodCallHandler(PATH, MANAGER, member, [(...args) => act(args.at(-1).sender), signature]);
  on('Subscribe', '', (sender) => {
    if (refusals-- > 0) throw new Error('not now');
    fake.subscribers.push(sender);
    return null;
  });
  on('RestartUnit', 'o', () => {
    const job = `${PATH}/job/${fake.jobs.length + 1}`;
    fake.jobs.push(job);
    // As with the real systemd, a short job may end before its path is returned.
    if (jobFirst !== undefined) fake.end(job, jobFirst);
    return job;
  });
  prepare(fake);
  // The bus may not have noticed yet that the previous owner left (DBUS_REQUEST_NAME_REPLY_PRIMARY_OWNER is 1).
  while ((await bus.requestName(NAME, 4)) !== 1) await new Promise((resolve) => setTimeout(resolve, 5));
  return fake;
}

const until = async (holds: () => boolean) => {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
};

/** Sent to one connection directly: match rules do not apply. */
const forge = (bus: MessageBus, destination: string, member: string, signature: string, body: unknown[], more = {}) =>
  bus.connection.message({
    ...{ type: SIGNAL, serial: 4_000_000_000, path: PATH, interface: MANAGER, member, destination, signature, body },
    ...more,
  });

/** Resolves when everything that was sent before has been delivered. */
const delivered = async (from: MessageBus, to: string) => {
  const call = { destination: to, path: '/', interface: 'org.freedesktop.DBus.Peer', member: 'Ping' };
  await from.invoke(call, { timeout: 2_000 }).then(
    () => undefined,
    () => undefined,
  );
};

beforeEach(async () => {
  dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-bus-'));
  socket = path.join(dir, 'bus');
  clients = [];
  broker = dbus.createBroker();
  await new Promise<void>((resolve, reject) =>
    broker.listen({ socket }, (error) => (error ? reject(error) : resolve())),
  );
  systemd = createSystemd({ socket });
});
afterEach(async () => {
  systemd.close();
  for (const bus of clients) bus.connection.end();
  await new Promise<void>((resolve) => broker.close(resolve));
  rmSync(dir, { recursive: true, force: true });
});

/** Makes it answer for these units by all their names, as systemd does: in order, under a unit's own name, without invalid names. */
const answersFor = (fake: Fake, idOf: (name: string) => string | null, asked: string[][] = []) => {
  const rowOf = (id: string) => {
    const at = `${PATH}/unit/${id.replaceAll('.', '_2e')}`;
    return [id, '', 'loaded', 'active', 'running', '', at, 0, '', '/'];
  };
  const handler = (names: string[]) => {
    asked.push(names);
    return names.flatMap((name) => {
      const id = idOf(name);
      return id === null ? [] : [rowOf(id)];
    });
  };
  fake.bus.setMethodCallHandler(PATH, MANAGER, 'ListUnitsByNames', [handler, 'a(ssssssouso)']);
};
const sshOf = (name: string) => (name.includes('!') ? null : name === 'sshd.service' ? 'ssh.service' : name);

test('a unit that is asked by an alias is answered by the name that was asked', async () => {
  const asked: string[][] = [];
  answersFor(await fakeSystemd(), sshOf, asked);
  const rows = await systemd.list(['sshd.service', 'a@.service', 'b.service', 'ssh.service']);
  expect(rows.map((row) => [row.name, row.active, row.path])).toEqual([
    ['sshd.service', 'active', `${PATH}/unit/ssh_2eservice`],
    ['a@.service', 'inactive', ''],
    ['b.service', 'active', `${PATH}/unit/b_2eservice`],
    ['ssh.service', 'active', `${PATH}/unit/ssh_2eservice`],
  ]);
  expect(asked).toEqual([['sshd.service', 'b.service', 'ssh.service']]);
});

test('an invalid name, which systemd leaves out, does not give its place to another unit', async () => {
  answersFor(await fakeSystemd(), sshOf);
  const rows = await systemd.list(['!', 'sshd.service', 'b.service']);
  expect(rows.map((row) => [row.name, row.active, row.path])).toEqual([
    ['!', 'inactive', ''],
    ['sshd.service', 'active', `${PATH}/unit/ssh_2eservice`],
    ['b.service', 'active', `${PATH}/unit/b_2eservice`],
  ]);
});

test('the result of a job is that of systemd, not an earlier one of another client of the bus', async () => {
  const fake = await fakeSystemd();
  const forger = await client();
  const asked = systemd.job('RestartUnit', 'a.service');
  await until(() => fake.jobs.length === 1);
  const [agent = ''] = fake.subscribers;
  forge(forger, agent, 'JobRemoved', 'uoss', [1, fake.jobs[0], 'a.service', 'failed']);
  await delivered(forger, agent);
  fake.end(fake.jobs[0] ?? '', 'done');
  expect(await asked).toBe('done');
});

test('a job that ended leaves nothing at the signal of its run, which lives as long as the agent', async () => {
  const fake = await fakeSystemd();
  const { signal } = new AbortController();
  const asked = systemd.job('RestartUnit', 'a.service', signal);
  await until(() => getEventListeners(signal, 'abort').length === 1);
  fake.end(fake.jobs[0] ?? '', 'done');
  await asked;
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
});

test('a job is not awaited any more if its run is ended before systemd has named the job', async () => {
  const fake = await fakeSystemd();
  let answer: (path: string) => void = () => undefined;
  const path = new Promise<string>((resolve) => {
    answer = resolve;
  });
  let isAsked = false;
  const late = () => {
    isAsked = true;
    return path;
  };
  fake.bus.setMethodCallHandler(PATH, MANAGER, 'RestartUnit', [late, 'o']);
  const run = new AbortController();
  const asked = systemd.job('RestartUnit', 'a.service', run.signal);
  await until(() => isAsked);
  run.abort();
  answer(`${PATH}/job/1`);
  expect(await asked).toBe('not awaited');
});

/**
 * Calls `member` of systemd, which answers after this many seconds if anybody still waits.
 * @returns `answered`, or an error's code
 */
async function silentFor(member: string, ask: () => Promise<unknown>, seconds: number) {
  const fake = await fakeSystemd();
  let isAsked = false;
  let answer: (value: unknown) => void = () => undefined;
  const answered = new Promise((resolve) => {
    answer = resolve;
  });
  const handler = () => {
    isAsked = true;
    return answered;
  };
  fake.bus.setMethodCallHandler(PATH, MANAGER, member, [handler, member === 'Reload' ? '' : 's']);
  // It is connected already: only this one call uses the fake clock.
  await systemd.resetFailed('a.service');
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    let refused: string | undefined;
    const outcome = ask().then(
      () => 'answered',
      (thrown: { code?: string }) => {
        refused = thrown.code;
        return refused;
      },
    );
    while (!isAsked) await new Promise((resolve) => setImmediate(resolve));
    await vi.advanceTimersByTimeAsync(seconds * 1_000);
    if (refused === undefined) answer(member === 'Reload' ? null : 'enabled');
    return await outcome;
  } finally {
    vi.useRealTimers();
  }
}

test('a systemd that does not answer in time is an outage, and no fault of the resource', async () => {
  const ask = () => systemd.fileState('a.service');
  expect(await silentFor('GetUnitFileState', ask, 30)).toBe('SystemdUnreachable');
});

test('a reload of all units may take minutes on a slow host', async () => {
  expect(await silentFor('Reload', () => systemd.reload(), 150)).toBe('answered');
});

test('a reload that never ends is an outage', async () => {
  expect(await silentFor('Reload', () => systemd.reload(), 200)).toBe('SystemdUnreachable');
});

test('an error of the bus, or of the connection, is an outage and no state of a unit; a refusal of systemd is an answer', async () => {
  const fake = await fakeSystemd();
  const replies: (() => unknown)[] = [
    () => {
      throw Object.assign(new Error('no such file'), { dbusName: 'org.freedesktop.DBus.Error.FileNotFound' });
    },
    () => new Promise(() => undefined),
  ];
  let asked = 0;
  fake.bus.setMethodCallHandler(PATH, MANAGER, 'GetUnitFileState', [() => replies[asked++]?.(), 's']);
  expect(await systemd.fileState('a.service')).toBe('');
  const open = systemd.fileState('a.service').catch((thrown) => thrown.code);
  await until(() => asked === 2);
  await fake.bus.releaseName(NAME);
  await expect(systemd.fileState('a.service')).rejects.toMatchObject({ code: 'SystemdUnreachable' });
  await new Promise<void>((resolve) => broker.close(resolve));
  expect(await open).toBe('SystemdUnreachable');
});

test('a result that was forged before the job exists is ignored as well', async () => {
  const fake = await fakeSystemd();
  const forger = await client();
  const first = systemd.job('RestartUnit', 'a.service');
  await until(() => fake.jobs.length === 1);
  const [agent = ''] = fake.subscribers;
  for (let id = 1; id < 40; id++)
    forge(forger, agent, 'JobRemoved', 'uoss', [id, `${PATH}/job/${id}`, 'a.service', 'failed']);
  await delivered(forger, agent);
  fake.end(fake.jobs[0] ?? '', 'done');
  const second = systemd.job('RestartUnit', 'a.service');
  await until(() => fake.jobs.length === 2);
  fake.end(fake.jobs[1] ?? '', 'done');
  expect(await Promise.all([first, second])).toEqual(['done', 'done']);
});

test('a result that systemd itself sends before it returns the path of the job counts', async () => {
  await fakeSystemd('dependency');
  expect(await systemd.job('RestartUnit', 'a.service')).toBe('dependency');
});

test('a signal of megabytes is dropped before it is read, and later signals are received', async () => {
  const fake = await fakeSystemd();
  const forger = await client();
  const { bus, identify } = await openSystemdBus({ socket, timeoutMs: 5_000, heard: () => undefined });
  clients.push(bus);
  await identify();
  const seen: string[] = [];
  bus.connection.on('message', ({ member = '' }: { member?: string }) => void seen.push(member));
  const name = bus.name ?? '';
  forge(forger, name, 'Before', 's', ['small']);
  forge(forger, name, 'Large', 'as', [Array.from({ length: 300_000 }, () => '')]);
  forge(forger, name, 'After', 's', ['small']);
  await until(() => seen.includes('After'));
  expect(seen.filter((member) => ['Before', 'Large', 'After'].includes(member))).toEqual(['Before', 'After']);
  // The same connection still sends calls and gets answers.
  await bus.invoke({ destination: NAME, path: PATH, interface: MANAGER, member: 'Subscribe' });
  expect(fake.subscribers).toEqual([name]);
});

test('large signals are dropped wherever the stream is cut, and answers of any size are kept', () => {
  const message = (type: number, body: number, order = 'l') => {
    const bytes = Buffer.alloc(16 + 8 + body, type);
    bytes.write(order, 'latin1');
    for (const [value, at] of [
      [body, 4],
      [7, 12],
    ] as const)
      order === 'l' ? bytes.writeUInt32LE(value, at) : bytes.writeUInt32BE(value, at);
    return bytes;
  };
  const [small, large, big, answer, call] = [
    message(4, 10),
    message(4, 90),
    message(4, 90, 'B'),
    message(2, 90),
    message(1, 90),
  ];
  const lines = Buffer.from('OK 1234lB\r\nAGREE_UNIX_FD\r\n');
  const all = Buffer.concat([lines, small, large, answer, big, call, small]);
  const wanted = Buffer.concat([lines, small, answer, small]).toString('hex');
  for (const step of [1, 3, 16, 17, all.length]) {
    const keep = withoutLarge(64);
    const parts: Buffer[] = [];
    for (let at = 0; at < all.length; at += step) parts.push(...keep(all.subarray(at, at + step)));
    expect(Buffer.concat(parts).toString('hex')).toBe(wanted);
  }
});

test('a forged change of the owner of the name has no effect', async () => {
  const fake = await fakeSystemd();
  const forger = await client();
  const asked = systemd.job('RestartUnit', 'a.service');
  await until(() => fake.jobs.length === 1);
  const [agent = ''] = fake.subscribers;
  const own = String((forger as unknown as { name: string }).name);
  forge(forger, agent, 'NameOwnerChanged', 'sss', [NAME, '', own], {
    path: '/org/freedesktop/DBus',
    interface: 'org.freedesktop.DBus',
  });
  forge(forger, agent, 'JobRemoved', 'uoss', [1, fake.jobs[0], 'a.service', 'failed']);
  await delivered(forger, agent);
  fake.end(fake.jobs[0] ?? '', 'done');
  expect(await asked).toBe('done');
});

/** The agent has read all that systemd answered until now, such as the path of a job: an answer to a later question is there. */
const answersAreRead = () => systemd.fileState('a.service');

/** A job of it, as an object on the bus. */
const keepJob = (fake: Fake, job: string) =>
  fake.bus.exportInterface({ State: 'running' }, job, { name: `${NAME}.Job`, properties: { State: 's' } } as never);

test('a systemd that restarts with another bus name is followed, and subscribed to again', async () => {
  const before = await fakeSystemd();
  const ends: (string | undefined)[] = [];
  const asked = systemd.job('RestartUnit', 'a.service').then((result) => ends.push(result));
  const lost = systemd.job('RestartUnit', 'a.service').then((result) => ends.push(result));
  await until(() => before.jobs.length === 2);
  await answersAreRead();
  const [kept = '', gone = ''] = before.jobs;
  before.bus.connection.end();
  const after = await fakeSystemd(undefined, 0, (fake) => keepJob(fake, kept));
  await until(() => after.subscribers.length === 1);
  // The job whose end was reported to nobody is the second: the first still exists.
  expect(gone).not.toBe('');
  await until(() => ends.length === 1);
  expect(ends).toEqual(['unknown']);
  after.end(kept, 'done');
  await Promise.all([asked, lost]);
  expect(ends).toEqual(['unknown', 'done']);
});

test('the result of a job is unknown if the bus is lost before its end', async () => {
  const fake = await fakeSystemd();
  const asked = systemd.job('RestartUnit', 'a.service');
  await until(() => fake.jobs.length === 1);
  await answersAreRead();
  await new Promise<void>((resolve) => broker.close(resolve));
  expect(await asked).toBe('unknown');
});

/** Writes the units that it hears of, and `*` where all are to be looked at. */
const listener = (hints: string[], at = socket) =>
  createSystemdSignals({
    socket: at,
    clock: { now: () => new Date(), monotonic: () => performance.now(), sleep: () => Promise.resolve() } as never,
    log: { info: () => undefined, warn: () => undefined, error: () => undefined } as never,
    unit: (name) => hints.push(name),
    all: () => hints.push('*'),
  });
const changeOf = (fake: Fake, label: string) =>
  fake.bus.sendSignal(`${PATH}/unit/${label}`, PROPERTIES, 'PropertiesChanged', 'sa{sv}as', [`${NAME}.Unit`, [], []]);

test('a forged signal about a unit or the manager is no hint; one from systemd is', async () => {
  const fake = await fakeSystemd();
  const forger = await client();
  const hints: string[] = [];
  const stop = new AbortController();
  const signals = listener(hints);
  signals.units(['a.service']);
  await signals.start(stop.signal);
  const [agent = ''] = fake.subscribers;
  hints.length = 0;
  const unit = { path: `${PATH}/unit/a_2eservice`, interface: PROPERTIES };
  forge(forger, agent, 'PropertiesChanged', 'sa{sv}as', [`${NAME}.Unit`, [], []], unit);
  forge(forger, agent, 'UnitFilesChanged', '', []);
  forge(forger, agent, 'Reloading', 'b', [false]);
  await delivered(forger, agent);
  changeOf(fake, 'a_2eservice');
  await until(() => hints.length > 0);
  stop.abort();
  expect(hints).toEqual(['a.service']);
});

test('units that are declared while systemd has not answered yet are heard', async () => {
  const fake = await fakeSystemd();
  let answer: (value: null) => void = () => undefined;
  const answered = new Promise<null>((resolve) => {
    answer = resolve;
  });
  let isAsked = false;
  const late = () => {
    isAsked = true;
    return answered;
  };
  fake.bus.setMethodCallHandler(PATH, MANAGER, 'Subscribe', [late, '']);
  const hints: string[] = [];
  const stop = new AbortController();
  const signals = listener(hints);
  const started = signals.start(stop.signal);
  await until(() => isAsked);
  signals.units(['a.service']);
  answer(null);
  await started;
  hints.length = 0;
  changeOf(fake, 'a_2eservice');
  fake.bus.sendSignal(PATH, MANAGER, 'UnitFilesChanged', '', []);
  await until(() => hints.includes('*'));
  stop.abort();
  expect(hints).toEqual(['a.service', '*']);
});

/** A way to the bus that spoils the first match rule for this object path; the bus then refuses it. */
async function spoiling(label: string): Promise<{ at: string; close(): Promise<void> }> {
  let isSpoilt = false;
  const server = net.createServer((stream) => {
    const onward = net.connect(socket);
    onward.pipe(stream);
    stream.on('end', () => onward.end());
    stream.on('data', (chunk) => {
      const text = chunk.toString('latin1');
      const spoilt = isSpoilt ? text : text.replace(`path='${PATH}/unit/${label}'`, `xxxx='${PATH}/unit/${label}'`);
      isSpoilt ||= spoilt !== text;
      onward.write(Buffer.from(spoilt, 'latin1'));
    });
  });
  const at = path.join(dir, 'spoiling');
  await new Promise<void>((resolve) => server.listen(at, resolve));
  return { at, close: () => new Promise<void>((resolve) => server.close(() => resolve())) };
}

test('a unit that is declared by an alias is heard, also if the alias comes with a reload', async () => {
  const fake = await fakeSystemd();
  const asked: string[][] = [];
  const hints: string[] = [];
  const stop = new AbortController();
  const signals = listener(hints);
  let behind = 'ssh.service';
  answersFor(fake, (name) => (name === 'sshd.service' ? behind : name), asked);
  signals.units(['sshd.service', 'ssh.service', 'b.service']);
  await signals.start(stop.signal);
  hints.length = 0;
  changeOf(fake, 'ssh_2eservice');
  await until(() => hints.length === 2);
  expect(hints.sort()).toEqual(['ssh.service', 'sshd.service']);
  behind = 'other.service';
  fake.bus.sendSignal(PATH, MANAGER, 'Reloading', 'b', [false]);
  await until(() => asked.length === 2);
  hints.length = 0;
  while (hints.length === 0) {
    changeOf(fake, 'other_2eservice');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  stop.abort();
  expect(new Set(hints)).toEqual(new Set(['sshd.service']));
});

test('a rule that the bus refuses is asked for again, on a new connection', async () => {
  const fake = await fakeSystemd();
  const way = await spoiling('a_2eservice');
  const hints: string[] = [];
  const stop = new AbortController();
  const signals = listener(hints, way.at);
  await signals.start(stop.signal);
  signals.units(['a.service']);
  await until(() => fake.subscribers.length === 2 && hints.length === 2);
  hints.length = 0;
  changeOf(fake, 'a_2eservice');
  await until(() => hints.length > 0);
  stop.abort();
  await way.close();
  expect(hints).toEqual(['a.service']);
});

test('a systemd that does not grant the subscription after its restart is asked again', async () => {
  const before = await fakeSystemd();
  const stop = new AbortController();
  await listener([]).start(stop.signal);
  before.bus.connection.end();
  const after = await fakeSystemd(undefined, 1);
  await until(() => after.subscribers.length === 1);
  stop.abort();
});

const connections = () => broker.names().filter((name) => name.startsWith(':')).length;

test('connections to a bus without systemd are closed again', async () => {
  for (let i = 0; i < 20; i++)
    await expect(systemd.list(['a.service'])).rejects.toMatchObject({ code: 'SystemdUnreachable' });
  await until(() => connections() === 0);
});

test('the end of a failed connection does not cost the next one', async () => {
  const fake = await fakeSystemd();
  answersFor(fake, sshOf);
  await fake.bus.releaseName(NAME);
  await expect(systemd.list(['a.service'])).rejects.toMatchObject({ code: 'SystemdUnreachable' });
  await Promise.all([fake.bus.requestName(NAME, 4), systemd.list(['a.service'])]);
  await until(() => connections() === 2);
  await systemd.list(['a.service']);
  expect(connections()).toBe(2);
  expect(fake.subscribers).toHaveLength(1);
});

test('a bus that refuses the authentication is an error for the caller, and ends no process', async () => {
  const full = path.join(dir, 'full');
  const server = net.createServer((stream) => {
    const connection = dbus.createConnection({ stream, server: true });
    connection.on('message', ({ serial }: { serial: number }) =>
      connection.message({
        ...{ type: 3, serial: 1, replySerial: serial, errorName: 'org.freedesktop.DBus.Error.LimitsExceeded' },
        ...{ signature: 's', body: ['too many connections'] },
      }),
    );
  });
  await new Promise<void>((resolve) => server.listen(full, resolve));
  const { bus, identify } = await openSystemdBus({ socket: full, timeoutMs: 5_000, heard: () => undefined });
  await expect(identify()).rejects.toThrow(/too many connections/);
  bus.connection.end();
  await new Promise((resolve) => server.close(resolve));
});
