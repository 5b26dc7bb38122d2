/** Host metrics as one document: a dozen small files of /proc and /sys, without a process. Something that is missing is null. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { MetricsDocument } from '../../../manifests-schema/payloads.ts';
import type { Clock } from '../../system/clock.ts';
import { createPlaces, dockerRoot } from './places.ts';
import {
  type CpuTicks,
  memoryBytes,
  parseLoad,
  parsePressure,
  parseStat,
  parseUptime,
  round,
  sharesBetween,
} from './proc-text.ts';
import { createThermometer } from './thermometer.ts';
import { type Traffic, trafficOf } from './traffic.ts';

export interface SamplerOptions {
  host: string;
  fleet: string;
  clock: Pick<Clock, 'now' | 'monotonic'>;
  stateDir: string;
  /** Data directory of the Docker engine; default: from its configuration. */
  dockerDir?: string;
  /** Default `/proc`. */
  proc?: string;
  /** Default `/sys`. */
  sys?: string;
}

export interface HostSampler {
  /** Reads all metrics. Rates cover the time since the previous call, if that was at least 5 s ago. */
  sample(): Promise<MetricsDocument>;
}

/** A shorter span says more about the agent's own start than about the host. */
const LEAST_SPAN_MS = 5_000;

interface Reading {
  atMs: number;
  ticks: CpuTicks | null;
  traffic: Traffic | null;
}

export function createHostSampler(options: SamplerOptions): HostSampler {
  const { host, fleet, clock, proc = '/proc', sys = '/sys' } = options;
  const places = createPlaces(['/', options.stateDir, options.dockerDir ?? dockerRoot()]);
  const thermometer = createThermometer(sys);
  const read = (name: string): string => textOf(path.join(proc, name));
  const look = (): Reading => ({
    atMs: clock.monotonic(),
    ticks: parseStat(read('stat')),
    traffic: trafficOf(read('net/dev'), sys),
  });
  let before = look();

  return {
    async sample() {
      const [disks, temperatureCelsius] = await Promise.all([places.measure(), thermometer.measure()]);
      const now = look();
      const spanMs = now.atMs - before.atMs;
      const isSpan = spanMs >= LEAST_SPAN_MS;
      const shares = isSpan && before.ticks && now.ticks ? sharesBetween(before.ticks, now.ticks) : null;
      const network = now.traffic && {
        ...now.traffic,
        receivedBytesPerSecond: isSpan ? perSecond('receivedBytes', before.traffic, now.traffic, spanMs) : null,
        sentBytesPerSecond: isSpan ? perSecond('sentBytes', before.traffic, now.traffic, spanMs) : null,
      };
      if (isSpan) before = now;
      const meminfo = read('meminfo');
      const memory = (key: string) => memoryBytes(meminfo, key);
      const { user, system } = process.cpuUsage();
      return {
        schema: 1,
        host,
        fleet,
        at: clock.now().toISOString(),
        uptimeSeconds: parseUptime(read('uptime')),
        load: parseLoad(read('loadavg')),
        cpu: {
          count: now.ticks?.count ?? null,
          usedRatio: shares?.usedRatio ?? null,
          iowaitRatio: shares?.iowaitRatio ?? null,
          stealRatio: shares?.stealRatio ?? null,
        },
        memory: { totalBytes: memory('MemTotal'), availableBytes: memory('MemAvailable') },
        swap: { totalBytes: memory('SwapTotal'), freeBytes: memory('SwapFree') },
        disks,
        network,
        temperatureCelsius,
        pressure: {
          cpu: parsePressure(read('pressure/cpu')),
          memory: parsePressure(read('pressure/memory')),
          io: parsePressure(read('pressure/io')),
        },
        agent: { rssBytes: process.memoryUsage.rss(), cpuSeconds: round((user + system) / 1e6) },
      };
    },
  };
}

/** Null if an interface went or began to count again. */
function perSecond(key: keyof Traffic, before: Traffic | null, after: Traffic, spanMs: number): number | null {
  if (before === null || after[key] < before[key]) return null;
  return Math.round((after[key] - before[key]) / (spanMs / 1000));
}

/** '' if the kernel does not have it. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
