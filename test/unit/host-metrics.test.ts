/** Host metrics: which values are read from /proc and /sys, and when they are sent. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { silentLog } from '../../agent/log.ts';
import { createMetricsFeed } from '../../agent/metrics/host/feed.ts';
import { createPlaces, dockerRoot } from '../../agent/metrics/host/places.ts';
import { parseNetwork, parsePressure, parseStat, sharesBetween } from '../../agent/metrics/host/proc-text.ts';
import { createHostSampler, type HostSampler } from '../../agent/metrics/host/sampler.ts';
import { createThermometer } from '../../agent/metrics/host/thermometer.ts';
import { trafficOf } from '../../agent/metrics/host/traffic.ts';
import { type MetricsDocument, metricsDocument } from '../../manifests-schema/payloads.ts';

const dirs: string[] = [];
afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true });
});

/** A directory with these files. */
function tree(files: Readonly<Record<string, string>>): string {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-metrics-'));
  dirs.push(dir);
  for (const [name, text] of Object.entries(files)) put(dir, name, text);
  return dir;
}
function put(dir: string, name: string, text: string): void {
  mkdirSync(path.dirname(path.join(dir, name)), { recursive: true });
  writeFileSync(path.join(dir, name), text);
}

const stat = (...ticks: number[]) =>
  `cpu  ${ticks.join(' ')}\ncpu0 1 2 3 4 5 6 7 8 9 10\ncpu1 1 2 3 4 5 6 7 8 9 10\nintr 1234 0 0\nctxt 1\n`;
const DEV_HEAD =
  'Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n';
const dev = (interfaces: Readonly<Record<string, [number, number]>>) =>
  DEV_HEAD +
  Object.entries(interfaces)
    .map(([name, [came, went]]) => `${name.padStart(6)}: ${came} 9 0 0 0 0 0 0 ${went} 8 0 0 0 0 0 0\n`)
    .join('');
const psi = (avg60: string) =>
  `some avg10=0.00 avg60=${avg60} avg300=0.00 total=5\nfull avg10=9.00 avg60=9.00 avg300=9.00 total=1\n`;

const PROC = {
  stat: stat(100, 0, 50, 800, 40, 5, 5, 0, 70, 0),
  meminfo:
    'MemTotal:        2048 kB\nMemFree:          100 kB\nMemAvailable:    1024 kB\nSwapCached: 7 kB\nSwapTotal:        512 kB\nSwapFree:         256 kB\n',
  loadavg: '0.42 0.30 0.25 2/345 6789\n',
  uptime: '12345.67 4567.89\n',
  'net/dev': dev({ lo: [7, 7], eth0: [1_000, 2_000], docker0: [50, 50] }),
  'pressure/cpu': psi('12.34'),
  'pressure/memory': psi('0.00'),
  'pressure/io': psi('100.00'),
};

interface Desk {
  proc: string;
  sampler: HostSampler;
  passMs(ms: number): void;
}
function desk(files: Readonly<Record<string, string>> = PROC, sys: Readonly<Record<string, string>> = {}): Desk {
  const proc = tree(files);
  let now = 1_000;
  const sampler = createHostSampler({
    ...{ host: 'h', fleet: 'f', proc, sys: tree(sys), stateDir: proc, dockerDir: path.join(proc, 'none') },
    clock: { now: () => new Date(0), monotonic: () => now },
  });
  return {
    proc,
    sampler,
    passMs(ms) {
      now += ms;
    },
  };
}

describe('a document of host metrics', () => {
  test("has the kernel's values, in the form of its schema", async () => {
    const { sampler } = desk(PROC, {
      'class/thermal/thermal_zone0/type': 'acpitz',
      'class/thermal/thermal_zone0/temp': '48250',
    });
    const document = await sampler.sample();
    expect(metricsDocument.parse(document)).toEqual(document);
    expect(document).toMatchObject({
      ...{ host: 'h', fleet: 'f', at: '1970-01-01T00:00:00.000Z', uptimeSeconds: 12345, load: [0.42, 0.3, 0.25] },
      memory: { totalBytes: 2048 * 1024, availableBytes: 1024 * 1024 },
      swap: { totalBytes: 512 * 1024, freeBytes: 256 * 1024 },
      network: { receivedBytes: 1_000, sentBytes: 2_000 },
      pressure: { cpu: 0.1234, memory: 0, io: 1 },
      temperatureCelsius: 48.3,
    });
    expect(document.cpu.count).toBe(2);
    expect(document.disks[0]).toMatchObject({ path: '/' });
    expect(document.agent.rssBytes).toBeGreaterThan(0);
  });

  test('has shares and rates since the previous document, and none in the first', async () => {
    const { proc, sampler, passMs } = desk();
    const first = await sampler.sample();
    expect(first.cpu).toEqual({ count: 2, usedRatio: null, iowaitRatio: null, stealRatio: null });
    expect(first.network).toMatchObject({ receivedBytesPerSecond: null, sentBytesPerSecond: null });
    passMs(60_000);
    put(proc, 'stat', stat(100 + 20, 0, 50 + 5, 800 + 60, 40 + 10, 5, 5, 5));
    put(proc, 'net/dev', dev({ eth0: [7_000, 2_000] }));
    const second = await sampler.sample();
    expect(second.cpu).toEqual({ count: 2, usedRatio: 0.25, iowaitRatio: 0.1, stealRatio: 0.05 });
    expect(second.network).toMatchObject({ receivedBytesPerSecond: 100, sentBytesPerSecond: 0 });
  });

  test('merges two that come close together', async () => {
    const { proc, sampler, passMs } = desk();
    passMs(100);
    expect((await sampler.sample()).cpu.usedRatio).toBeNull();
    put(proc, 'stat', stat(150, 0, 50, 850, 40, 5, 5, 0));
    passMs(59_900);
    expect((await sampler.sample()).cpu.usedRatio).toBe(0.5);
  });

  test('has null for every value that a kernel or a container does not show', async () => {
    const { sampler, passMs } = desk({ stat: 'nonsense\n', 'net/dev': DEV_HEAD });
    passMs(60_000);
    const document = await sampler.sample();
    expect(metricsDocument.parse(document)).toEqual(document);
    expect(document).toMatchObject({
      ...{ uptimeSeconds: null, load: null, network: null, temperatureCelsius: null },
      cpu: { count: null, usedRatio: null, iowaitRatio: null, stealRatio: null },
      memory: { totalBytes: null, availableBytes: null },
      pressure: { cpu: null, memory: null, io: null },
    });
  });

  test('has no rate after the counters of a network card restarted', async () => {
    const { proc, sampler, passMs } = desk();
    passMs(60_000);
    put(proc, 'net/dev', dev({ eth0: [10, 3_000] }));
    expect((await sampler.sample()).network).toMatchObject({ receivedBytesPerSecond: null });
  });
});

describe('processors', () => {
  test('iowait that decreases counts as none', () => {
    const before = { count: 1, total: 100, idle: 50, iowait: 20, steal: 0 };
    const shares = sharesBetween(before, { ...before, total: 110, idle: 60, iowait: 15 });
    expect(shares).toEqual({ usedRatio: 0, iowaitRatio: 0, stealRatio: 0 });
  });

  test('no time between two readings yields no share', () => {
    const ticks = { count: 1, total: 100, idle: 50, iowait: 20, steal: 0 };
    expect(sharesBetween(ticks, ticks)).toBeNull();
  });

  test('guest time is a part of user time, and an old kernel has fewer columns', () => {
    expect(parseStat(stat(10, 0, 0, 10, 0, 0, 0, 0, 10, 10))?.total).toBe(20);
    expect(parseStat('cpu 1 2 3 4\n')).toEqual({ count: 0, total: 10, idle: 4, iowait: 0, steal: 0 });
  });
});

describe('network', () => {
  test('counts only interfaces with hardware behind them, each byte once', () => {
    const text = dev({
      lo: [1, 1],
      eth0: [100, 200],
      eth1: [10, 20],
      bond0: [110, 220],
      'eth0.5': [60, 70],
      wg0: [5, 5],
    });
    const sys = tree({ 'class/net/eth0/device/x': '', 'class/net/eth1/device/x': '' });
    expect(trafficOf(text, sys)).toEqual({ receivedBytes: 110, sentBytes: 220 });
  });

  test('a number that touches its interface name is read', () => {
    expect(parseNetwork(`${DEV_HEAD}  eth0:4294967296 9 0 0 0 0 0 0 12 8 0 0 0 0 0 0\n`)).toEqual([
      { name: 'eth0', received: 4294967296, sent: 12 },
    ]);
  });
});

test('pressure that the kernel supports but has switched off is null', () => {
  expect(parsePressure('')).toBeNull();
});

describe('file systems', () => {
  const disk = (name: string) => ({ path: name, totalBytes: 1, availableBytes: 1, inodes: null, inodesFree: null });

  test('one that is mounted at several places is reported once, at the first', async () => {
    const devices: Record<string, number> = { '/': 1, '/state': 1, '/data': 2 };
    const look = async (place: string) => ({ device: devices[place] ?? 0, disk: disk(place) });
    const places = createPlaces(Object.keys(devices), { look });
    expect((await places.measure()).map((one) => one.path)).toEqual(['/', '/data']);
  });

  test('a missing one is left out', async () => {
    const [root] = await createPlaces(['/', '/there/is/no/such/place']).measure();
    expect(root?.path).toBe('/');
    expect(root?.totalBytes).toBeGreaterThan(0);
  });

  test('one that does not respond delays nothing, and is not asked again before it has', async () => {
    let asked = 0;
    const answer = Promise.withResolvers<{ device: number; disk: ReturnType<typeof disk> }>();
    const look = async (place: string) => {
      if (place === '/') return { device: 1, disk: disk('/') };
      asked++;
      return answer.promise;
    };
    const places = createPlaces(['/', '/nfs'], { look, answerMs: 5 });
    expect((await places.measure()).map((one) => one.path)).toEqual(['/']);
    expect((await places.measure()).map((one) => one.path)).toEqual(['/']);
    expect(asked).toBe(1);
    answer.resolve({ device: 2, disk: disk('/nfs') });
    await setImmediate();
    expect((await places.measure()).map((one) => one.path)).toEqual(['/', '/nfs']);
  });

  test('the data directory of Docker is read from its configuration', () => {
    const dir = tree({ 'moved.json': '{"data-root": "/srv/docker"}', 'broken.json': '{' });
    expect(dockerRoot(path.join(dir, 'moved.json'))).toBe('/srv/docker');
    expect(dockerRoot(path.join(dir, 'broken.json'))).toBe('/var/lib/docker');
    expect(dockerRoot(path.join(dir, 'none.json'))).toBe('/var/lib/docker');
  });
});

describe('temperature', () => {
  const zone = (n: number, type: string, temp: string) => ({
    [`class/thermal/thermal_zone${n}/type`]: `${type}\n`,
    [`class/thermal/thermal_zone${n}/temp`]: `${temp}\n`,
  });

  test('is that of the hottest sensor inside of a processor', async () => {
    const sys = tree({
      ...zone(0, 'acpitz', '99000'),
      ...{ 'class/hwmon/hwmon0/name': 'nvme\n', 'class/hwmon/hwmon0/temp1_input': '88000\n' },
      ...{ 'class/hwmon/hwmon1/name': 'coretemp\n', 'class/hwmon/hwmon1/temp1_input': '51000\n' },
      'class/hwmon/hwmon1/temp2_input': '62500\n',
      'class/hwmon/hwmon1/temp2_crit': '100000\n',
    });
    expect(await createThermometer(sys).measure()).toBe(62.5);
  });

  test('is that of the zone named after the processor if there is no such sensor', async () => {
    const sys = tree({ ...zone(0, 'battery', '99000'), ...zone(1, 'cpu-thermal', '44444') });
    expect(await createThermometer(sys).measure()).toBe(44.4);
  });

  test('is null if a sensor reports nonsense', async () => {
    const sys = tree({ ...zone(0, 'acpitz', '-274000'), ...zone(1, 'acpitz', 'x') });
    expect(await createThermometer(sys).measure()).toBeNull();
  });
});

describe('metrics are sent', () => {
  function feeding() {
    const asleep = (): void => undefined;
    const desk = { sent: 0, measured: 0, isOpen: true, now: 0, fails: false, wake: asleep };
    const feed = createMetricsFeed({
      channel: {
        isOpen: () => desk.isOpen,
        async retain(name) {
          if (desk.fails) throw new Error('no way');
          if (name === 'metrics') desk.sent++;
          return 'taken';
        },
      },
      clock: {
        monotonic: () => desk.now,
        sleep: (ms, signal) =>
          new Promise((resolve) => {
            desk.wake = () => {
              desk.now += ms;
              resolve();
            };
            signal?.addEventListener('abort', () => resolve(), { once: true });
          }),
      },
      log: silentLog,
      async sample() {
        desk.measured++;
        return {} as MetricsDocument;
      },
    });
    const turns = async () => {
      for (let i = 0; i < 20; i++) await setImmediate();
    };
    return { desk, feed, turns };
  }

  test('when the channel opens, and each minute from then on', async () => {
    const { desk, feed, turns } = feeding();
    expect(desk.measured).toBe(0);
    feed.opened();
    await turns();
    expect(desk.sent).toBe(1);
    desk.wake();
    await turns();
    expect(desk.sent).toBe(2);
    expect(desk.now).toBe(60_000);
    feed.stop();
  });

  test('no more often if a connection comes and goes', async () => {
    const { desk, feed, turns } = feeding();
    for (let i = 0; i < 10; i++) {
      feed.opened();
      await turns();
    }
    expect(desk.sent).toBe(1);
    feed.stop();
  });

  test('not while the channel is closed: nothing is measured until it opens again', async () => {
    const { desk, feed, turns } = feeding();
    feed.opened();
    await turns();
    desk.isOpen = false;
    desk.wake();
    await turns();
    expect(desk.measured).toBe(1);
    desk.isOpen = true;
    feed.opened();
    await turns();
    expect(desk.sent).toBe(2);
    feed.stop();
  });

  test('again after one that could not be sent', async () => {
    const { desk, feed, turns } = feeding();
    desk.fails = true;
    feed.opened();
    await turns();
    desk.fails = false;
    desk.wake();
    await turns();
    expect(desk.sent).toBe(1);
    feed.stop();
  });

  test('never after the end', async () => {
    const { desk, feed, turns } = feeding();
    feed.opened();
    await turns();
    feed.stop();
    await turns();
    feed.opened();
    await turns();
    expect(desk.sent).toBe(1);
  });
});
