/** Many simulated hosts in this process: they start at a limited rate, and are counted. */
import { randomBytes } from 'node:crypto';
import os from 'node:os';
import { silentLog } from '../../agent/log.ts';
import { createHostSampler } from '../../agent/metrics/host/sampler.ts';
import { type Clock, systemClock } from '../../agent/system/clock.ts';
import type { BrokerSettings } from '../../agent/system/mqtt.ts';
import type { MetricsDocument } from '../../manifests-schema/payloads.ts';
import { AILMENTS } from './ailments.ts';
import { createSimulatedHost, type SimulatedHost } from './host.ts';

/** Plain data, because it is sent to another process. */
export interface CrowdSettings {
  broker: BrokerSettings;
  prefix: string;
  fleet: string;
  ref: string;
  hosts: readonly string[];
  /** Unwell hosts among these; the position in this list selects the fault. */
  bad: readonly string[];
  /** Maximum number of connections to begin in a second. */
  ramp: number;
  splayMs: number;
  runMs: number;
  /** Whether each host sends metrics once a minute, those of this machine. */
  metrics: boolean;
  /** Drift that each host repairs in an hour, at random moments. */
  repairsAnHour: number;
  /** How many times faster time passes for the hosts, except for the pings of their connections; 1 for real time. */
  haste: number;
}

export interface Counts {
  started: number;
  /** Connected now. */
  open: number;
  /** Connections that were made since the start. */
  opened: number;
  /** When the last of these was made, milliseconds since the epoch; 0 before the first. */
  openedAt: number;
  /** Hosts with a status that the broker acknowledged since their newest connection. */
  current: number;
  /** Commit → the number of hosts that last reported it to the broker, and when the last of them did. */
  told: Record<string, { hosts: number; at: number }>;
  /** CPU time of this process, and its memory. */
  cpuMs: number;
  rssBytes: number;
}

export interface Crowd {
  /** Resolves when all have been started, which is not when all are connected. */
  start(): Promise<void>;
  counts(): Counts;
  stop(): Promise<void>;
}

/**
 * Maximum number of unconnected hosts while others are still to be started: a slow broker, or a busy machine, is waited for. Each
 * has 10 s for its connection, so many more at once would only time out together.
 */
const UNDER_WAY = 50;
const STEP_MS = 20;
/** Hosts that disconnect at the same time. */
const LEAVING = 50;
const HOUR_MS = 3_600_000;
const SITES = ['berlin', 'hamburg', 'leipzig', 'oslo', 'porto'];
/** One host in this many follows new commits first. */
const CANARIES = 20;
/** Milliseconds for which measurements of this machine are shared. */
const FRESH_MS = 5_000;

export function createCrowd(settings: CrowdSettings): Crowd {
  const { hosts, bad, fleet, haste } = settings;
  const clock = haste === 1 ? systemClock : hasty(systemClock, haste);
  const sample = settings.metrics ? sharedSample(fleet, clock) : null;
  const crowd: SimulatedHost[] = [];
  const told = new Map<string, string>();
  const settingsAt = new Map<string, number>();
  const stopper = new AbortController();
  const current = new Set<string>();
  let opened = 0;
  let openedAt = 0;

  const createHost = (host: string, place: number): SimulatedHost =>
    createSimulatedHost({
      ...settings,
      ...{ host, clock, log: silentLog, random: Math.random, version: 'simulated' },
      instance: randomBytes(6).toString('hex'),
      labels: { site: SITES[place % SITES.length] ?? '', ring: place % CANARIES === 0 ? 'canary' : 'all' },
      ailment: bad.includes(host) ? (AILMENTS[bad.indexOf(host) % AILMENTS.length] ?? null) : null,
      sample: sample && (() => sample(host)),
      onOpened() {
        current.delete(host);
        opened++;
        openedAt = Date.now();
      },
      onTold(commit) {
        current.add(host);
        told.set(host, commit);
        settingsAt.set(commit, Date.now());
      },
    });
  const isOpen = (host: SimulatedHost) => host.isOpen();

  /** Repairs of drift on random hosts: one timer for all of them. */
  async function drift(): Promise<void> {
    const eachMs = HOUR_MS / (settings.repairsAnHour * hosts.length);
    while (!stopper.signal.aborted) {
      await clock.sleep(eachMs, stopper.signal);
      if (!stopper.signal.aborted) crowd[Math.floor(Math.random() * crowd.length)]?.repair();
    }
  }

  return {
    async start() {
      const began = performance.now();
      while (crowd.length < hosts.length && !stopper.signal.aborted) {
        const due = Math.ceil(((performance.now() - began) / 1_000) * settings.ramp);
        const room = UNDER_WAY - crowd.filter((host) => !host.isOpen()).length;
        const most = Math.max(crowd.length, Math.min(due, crowd.length + room));
        for (const name of hosts.slice(crowd.length, most)) {
          const host = createHost(name, crowd.length);
          crowd.push(host);
          host.start();
        }
        await systemClock.sleep(STEP_MS, stopper.signal);
      }
      if (settings.repairsAnHour > 0) void drift();
    },
    counts() {
      const byCommit: Counts['told'] = {};
      for (const commit of told.values()) {
        byCommit[commit] ??= { hosts: 0, at: settingsAt.get(commit) ?? 0 };
        byCommit[commit].hosts++;
      }
      const { user, system } = process.cpuUsage();
      return {
        ...{ started: crowd.length, open: crowd.filter(isOpen).length, opened, openedAt, told: byCommit },
        current: current.size,
        ...{ cpuMs: (user + system) / 1_000, rssBytes: process.memoryUsage.rss() },
      };
    },
    async stop() {
      stopper.abort();
      for (let left = [...crowd]; left.length > 0; left = left.slice(LEAVING))
        await Promise.all(left.slice(0, LEAVING).map((host) => host.stop()));
    },
  };
}

/** The measurements of this machine, at most once in a while, under the name of each host. */
function sharedSample(fleet: string, clock: Clock): (host: string) => Promise<MetricsDocument> {
  const sampler = createHostSampler({ host: '', fleet, clock: systemClock, stateDir: os.tmpdir() });
  let measured = sampler.sample();
  let measuredAt = performance.now();
  return async (host) => {
    if (performance.now() - measuredAt > FRESH_MS) {
      measured = sampler.sample();
      measuredAt = performance.now();
    }
    return { ...(await measured), host, at: clock.now().toISOString() };
  };
}

/** A clock that runs `times` as fast. */
export function hasty(clock: Clock, times: number): Clock {
  const start = clock.now().getTime();
  const began = clock.monotonic();
  const passed = () => (clock.monotonic() - began) * times;
  return {
    now: () => new Date(start + passed()),
    monotonic: () => Math.round(began + passed()),
    sleep: (ms, signal) => clock.sleep(ms / times, signal),
  };
}
