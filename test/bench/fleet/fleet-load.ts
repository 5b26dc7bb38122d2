/**
 * The load of a fleet on its broker: a stock mosquitto on this machine, and connected hosts that run the agent's own code
 * (test/simulate). The broker's processor time is from the kernel's accounting, so hosts on the same machine do not count as its
 * load. They slow it down all the same: read times and rates as lower bounds.
 */
import { createHash } from 'node:crypto';
import { connectBroker } from '../../../agent/system/mqtt.ts';
import { type Mosquitto, startMosquitto } from '../../dashboard/mosquitto.ts';
import { ensurePrograms } from '../../lab/packages.ts';
import type { Counts } from '../../simulate/crowd.ts';
import { type FleetSettings, namesOf, type SimulatedFleet, startFleet } from '../../simulate/fleet.ts';
import type { BenchRun } from '../report/runner.ts';
import { cpuMs, HEADER_BYTES, memoryMb, trafficTo } from './accounts.ts';
import { readStatus } from './fleet-reading.ts';

const SIZE = { quick: 1_000, full: 10_000 };
const REST_SECONDS = { quick: 5, full: 60 };
const BAD = 3;
/** Bounds of each measurement. */
const STEP_MS = 600_000;
const RATE_MS = 500;
/** Number of hosts whose idle hour is measured, and how many times faster it passes for them. */
const HOUR_HOSTS = 100;
const HASTE = 120;
const HOUR_MS = 3_600_000;
/**
 * Pings of an idle hour that an accelerated one lacks: with a keep-alive of 15 s (agent/system/mqtt.ts) three in each minute,
 * because the metrics of that minute replace the fourth. Bytes of PINGREQ and PINGRESP (MQTT 5.0, 3.12 and 3.13), and their
 * segments with the acknowledgement.
 */
const PINGS = 180;
const PING = { bytes: 4, segments: 3 };
const FLEET = { prefix: 'fairlead', fleet: 'f' };

type Run = BenchRun<'fleet'>;
/** Figures of what takes half a minute or more, whatever the size of the fleet. */
const SLOW = ['hour.mqtt', 'hour.wire', 'storm', 'storm.peak', 'storm.tries', 'storm.cpu', 'storm.memory'] as const;

export async function fleetLoadBench(run: Run): Promise<void> {
  await ensurePrograms({ mosquitto: 'mosquitto', ss: 'iproute2' });
  const broker = await startMosquitto();
  const pick = (one: Record<'quick' | 'full', number>) => (run.isQuick ? one.quick : one.full);
  try {
    run.log(`${pick(SIZE).toLocaleString('en')} hosts are connected`);
    await measureFleet({ broker, size: pick(SIZE), run }, pick(REST_SECONDS));
    if (run.isQuick) run.leaveOut(SLOW, '--quick leaves out what takes half a minute');
    else await measureHour(broker, run);
  } finally {
    await broker.stop();
  }
}

interface Load {
  broker: Mosquitto;
  size: number;
  run: Run;
}

const settingsOf = (broker: Mosquitto, size: number): FleetSettings => ({
  ...FLEET,
  broker: { url: broker.url },
  hosts: namesOf(size),
  ref: 'main',
  badHosts: BAD,
  processes: 2,
  // As fast as the broker accepts them.
  ramp: 100_000,
  splayMs: 0,
  runMs: 0,
  metrics: true,
  repairsAnHour: 0,
  haste: 1,
});

async function measureFleet(load: Load, restSeconds: number): Promise<void> {
  const { broker, size } = load;
  const bareMb = memoryMb(broker.pid()).now;
  const fleet = startFleet(settingsOf(broker, size));
  try {
    await firstStatus(load, fleet, bareMb);
    await reading(load);
    await rest(load, restSeconds);
    await commitToAll(load, fleet);
    if (load.run.isQuick) return;
    await storm(load, fleet);
    await reading(load);
  } finally {
    fleet.kill();
  }
}

const commitOf = (text: string): string => createHash('sha1').update(text).digest('hex');
const isTold =
  (size: number) =>
  ({ open, current }: Counts) =>
    open === size && current === size;

/** From the start of the hosts until the broker has acknowledged a status of each. */
async function firstStatus({ broker, size, run }: Load, fleet: SimulatedFleet, bareMb: number): Promise<void> {
  const cpuBefore = cpuMs(broker.pid());
  const began = Date.now();
  const counts = await fleet.until('the first status of all hosts', STEP_MS, isTold(size));
  const at = Math.max(...Object.values(counts.told).map((one) => one.at));
  run.record('first', [(at - began) / 1_000]);
  run.record('first.connections', [(size * 1_000) / (counts.openedAt - began)]);
  run.record('first.cpu', [(cpuMs(broker.pid()) - cpuBefore) / 1_000]);
  run.record('broker.host', [((memoryMb(broker.pid()).now - bareMb) * 1_024) / size]);
}

/** A reading by a person while all are connected. Throws if a row is missing or wrong. */
async function reading({ broker, size, run }: Load): Promise<void> {
  const { ms, mb, hosts } = await readStatus({ url: broker.url, ...FLEET });
  if (hosts !== size - BAD) throw new Error(`${hosts} of ${size} hosts are well, it should be ${size - BAD}`);
  run.record('connected.ms', [ms]);
  run.record('connected.memory', [mb]);
}

/** Nothing happens except metrics, pings and repeated messages. */
async function rest({ broker, run }: Load, seconds: number): Promise<void> {
  const before = cpuMs(broker.pid());
  await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
  run.record('rest.cpu', [((cpuMs(broker.pid()) - before) / (seconds * 1_000)) * 100]);
  run.record('rest.memory', [memoryMb(broker.pid()).now]);
}

/** From the push notice until the broker has acknowledged the last status with the commit; without a splay. */
async function commitToAll({ broker, size, run }: Load, fleet: SimulatedFleet): Promise<void> {
  const commit = commitOf('a commit for all');
  const client = await connectBroker({ broker: { url: broker.url }, clientId: 'bench-ci', timeoutMs: STEP_MS });
  const before = cpuMs(broker.pid());
  const began = Date.now();
  await client.publishAsync(`${FLEET.prefix}/${FLEET.fleet}/refs/main`, commit, { qos: 1, retain: true });
  client.end(true);
  const told = await fleet.until('the commit on all hosts', STEP_MS, (counts) => counts.told[commit]?.hosts === size);
  run.record('commit', [((told.told[commit]?.at ?? Number.NaN) - began) / 1_000]);
  run.record('commit.cpu', [(cpuMs(broker.pid()) - before) / 1_000]);
}

/** The broker restarts without its state: all hosts lose it at one moment, reconnect, and publish everything again. */
async function storm({ broker, size, run }: Load, fleet: SimulatedFleet): Promise<void> {
  const before = await fleet.counts();
  await broker.pause();
  await fleet.until('all to notice the loss', STEP_MS, ({ open }) => open === 0);
  await broker.start();
  const began = Date.now();
  let peak = 0;
  let last = { opened: before.opened, at: began };
  const back = await fleet.until('all to reconnect', STEP_MS, ({ open, opened }) => {
    const at = Date.now();
    if (at - last.at >= RATE_MS) {
      peak = Math.max(peak, ((opened - last.opened) * 1_000) / (at - last.at));
      last = { opened, at };
    }
    return open === size;
  });
  const online = (back.openedAt - began) / 1_000;
  // When the hosts have published again, a reader finds all retained messages.
  await fleet.until('all to have published everything again', STEP_MS, isTold(size));
  run.record('storm', [online]);
  // If the storm is over before the second measurement, there is only an average.
  run.record('storm.peak', [Math.max(peak, size / online)]);
  run.record('storm.tries', [((back.opened - before.opened) * 100) / size]);
  run.record('storm.cpu', [cpuMs(broker.pid()) / 1_000]);
  run.record('storm.memory', [memoryMb(broker.pid()).peak]);
}

/** The traffic of one idle host in an hour, with an accelerated clock; pings, which are not accelerated, are added. */
async function measureHour(broker: Mosquitto, run: Run): Promise<void> {
  const port = Number(new URL(broker.url).port);
  const settings = { ...settingsOf(broker, HOUR_HOSTS), fleet: 'hour', badHosts: 0, processes: 1, haste: HASTE };
  const fleet = startFleet(settings);
  try {
    await fleet.until('the first status of all hosts', STEP_MS, isTold(HOUR_HOSTS));
    const before = await trafficTo(port);
    await new Promise((resolve) => setTimeout(resolve, HOUR_MS / HASTE));
    const after = await trafficTo(port);
    if (before.connections !== HOUR_HOSTS || after.connections !== HOUR_HOSTS)
      throw new Error(`${before.connections}, then ${after.connections} of ${HOUR_HOSTS} hosts were connected`);
    const bytes = (after.bytes - before.bytes) / HOUR_HOSTS + PINGS * PING.bytes;
    const segments = (after.segments - before.segments) / HOUR_HOSTS + PINGS * PING.segments;
    run.record('hour.mqtt', [bytes / 1_000]);
    run.record('hour.wire', [(bytes + segments * HEADER_BYTES) / 1_000]);
  } finally {
    fleet.kill();
  }
}
