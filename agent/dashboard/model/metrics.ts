/** Host metrics as the page plots them. Pure. */
import { numberIn, objectIn, objectsIn, parseObject, textIn, timeIn } from './plain.ts';
import { MAX } from './row.ts';

export interface Sample {
  /** Milliseconds. */
  readonly at: number;
  /** Shares from 0 to 1; null if the host does not say. */
  readonly cpu: number | null;
  readonly memory: number | null;
  /** Usage of the fullest file system, with its path. */
  readonly disk: number | null;
  readonly diskPath: string;
  /** Over one minute. */
  readonly load: number | null;
  /** Bytes a second, received and sent. */
  readonly received: number | null;
  readonly sent: number | null;
  readonly uptimeSeconds: number | null;
}

const MAX_DISKS = 20;

/** @returns null for what cannot be read */
export function sampleOf(payload: string): Sample | null {
  const document = parseObject(payload);
  const at = timeIn(document?.at);
  if (document === null || document.schema !== 1 || at === null) return null;
  const memory = objectIn(document.memory);
  const network = objectIn(document.network);
  const disks = objectsIn(document.disks, MAX_DISKS)
    .map((disk) => ({ path: textIn(disk.path, MAX.id), used: usedOf(disk.totalBytes, disk.availableBytes) }))
    .filter((disk): disk is { path: string; used: number } => disk.used !== null)
    .sort((a, b) => b.used - a.used);
  return {
    at,
    cpu: numberIn(objectIn(document.cpu).usedRatio),
    memory: usedOf(memory.totalBytes, memory.availableBytes),
    disk: disks[0]?.used ?? null,
    diskPath: disks[0]?.path ?? '',
    load: Array.isArray(document.load) ? numberIn(document.load[0]) : null,
    received: numberIn(network.receivedBytesPerSecond),
    sent: numberIn(network.sentBytesPerSecond),
    uptimeSeconds: numberIn(document.uptimeSeconds),
  };
}

function usedOf(total: unknown, available: unknown): number | null {
  const [all, left] = [numberIn(total), numberIn(available)];
  return all === null || left === null || all <= 0 ? null : Math.min(1, Math.max(0, 1 - left / all));
}
