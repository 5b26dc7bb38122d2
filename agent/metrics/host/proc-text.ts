/** Parses the texts of proc(5) that host metrics come from. Pure. A value that the kernel does not report is null. */

/** Ticks of all processors together since the boot, of /proc/stat. */
export interface CpuTicks {
  /** Processors that are online. */
  count: number;
  total: number;
  idle: number;
  iowait: number;
  /** Taken by the hypervisor for others. */
  steal: number;
}

/** Shares of the time between two readings, from 0 to 1. */
export interface CpuShares {
  usedRatio: number;
  iowaitRatio: number;
  stealRatio: number;
}

/** `cpu  user nice system idle iowait irq softirq steal guest guest_nice`: the time of guests is a part of user and nice. */
export function parseStat(text: string): CpuTicks | null {
  const all = /^cpu +(.*)$/m.exec(text)?.[1];
  if (all === undefined) return null;
  const ticks = all.trim().split(/ +/).slice(0, 8).map(Number);
  if (ticks.length < 4 || ticks.some((n) => !Number.isFinite(n))) return null;
  return {
    count: text.match(/^cpu\d/gm)?.length ?? 0,
    total: ticks.reduce((sum, n) => sum + n, 0),
    idle: ticks[3] ?? 0,
    iowait: ticks[4] ?? 0,
    steal: ticks[7] ?? 0,
  };
}

/** Processor usage between two readings; null if no time passed. The kernel may decrease iowait. */
export function sharesBetween(before: CpuTicks, after: CpuTicks): CpuShares | null {
  const total = after.total - before.total;
  if (total <= 0) return null;
  const share = (key: 'idle' | 'iowait' | 'steal') => Math.min(1, Math.max(0, (after[key] - before[key]) / total));
  const [idle, iowait, steal] = [share('idle'), share('iowait'), share('steal')];
  return {
    usedRatio: round(Math.max(0, 1 - idle - iowait - steal)),
    iowaitRatio: round(iowait),
    stealRatio: round(steal),
  };
}

/** Four digits are enough for a plot. */
export const round = (ratio: number): number => Math.round(ratio * 10_000) / 10_000;

/** `0.42 0.30 0.25 2/345 6789`: of one, five and fifteen minutes. */
export function parseLoad(text: string): [number, number, number] | null {
  const [one, five, fifteen] = text.split(' ').map(Number);
  const isWhole = [one, five, fifteen].every((n) => n !== undefined && Number.isFinite(n));
  return isWhole ? [one as number, five as number, fifteen as number] : null;
}

/** Bytes of one line of /proc/meminfo such as `MemTotal:       2048 kB`. */
export function memoryBytes(text: string, key: string): number | null {
  const found = new RegExp(`^${key}: +(\\d+) kB$`, 'm').exec(text)?.[1];
  return found === undefined ? null : Number(found) * 1024;
}

/** Whole seconds since the boot. */
export function parseUptime(text: string): number | null {
  const seconds = Number.parseFloat(text);
  return Number.isFinite(seconds) ? Math.floor(seconds) : null;
}

/** Bytes of each interface since it exists: /proc/net/dev has eight columns of received data, then eight of sent data. */
export function parseNetwork(text: string): { name: string; received: number; sent: number }[] {
  return [...text.matchAll(/^ *([^\s:]+):(.*)$/gm)].flatMap(([, name = '', rest = '']) => {
    const columns = rest.trim().split(/ +/).map(Number);
    const [received, sent] = [columns[0], columns[8]];
    if (received === undefined || sent === undefined || !Number.isFinite(received + sent)) return [];
    return [{ name, received, sent }];
  });
}

/** Share of the last minute in which some task waited: `some avg10=0.00 avg60=1.25 …`, which is in percent. */
export function parsePressure(text: string): number | null {
  const found = /^some .*\bavg60=([\d.]+)/m.exec(text)?.[1];
  return found === undefined ? null : round(Number(found) / 100);
}
