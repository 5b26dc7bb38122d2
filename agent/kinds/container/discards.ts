/**
 * Fields of a request that a Docker engine ignores because its kernel does not support them: it returns a warning and starts
 * the container without them.
 */
import type { ServiceSpec } from '../../compose/stack/model.ts';
import type { Docker, EngineInfo } from '../../system/docker/docker.ts';

/** Fields of HostConfig (Engine API) → whether Docker keeps them; the names are those of `GET /info`. */
const KEPT: Record<string, (info: EngineInfo) => boolean> = {
  OomKillDisable: (info) => info.OomKillDisable !== false,
  // Not available in cgroup v2.
  MemorySwappiness: (info) => info.CgroupVersion !== '2',
  Memory: (info) => info.MemoryLimit !== false,
  MemoryReservation: (info) => info.MemoryLimit !== false,
  MemorySwap: (info) => info.MemoryLimit !== false && info.SwapLimit !== false,
  PidsLimit: (info) => info.PidsLimit !== false,
  CpuShares: (info) => info.CPUShares !== false,
  CpuPeriod: (info) => info.CpuCfsPeriod !== false,
  CpuQuota: (info) => info.CpuCfsQuota !== false,
  CpusetCpus: (info) => info.CPUSet !== false,
};

/** Fields that this Docker engine ignores. Pure. */
export const discardedBy = (info: EngineInfo): ReadonlySet<string> =>
  new Set(Object.keys(KEPT).filter((key) => KEPT[key]?.(info) === false));

const asksFor = ({ engine }: ServiceSpec): boolean => Object.keys(KEPT).some((key) => Boolean(engine.host[key]));

const NONE: ReadonlySet<string> = new Set();

/** Asks Docker once, and only if a declaration has a field that it may ignore. */
export function createDiscards(docker: Docker) {
  let known: ReadonlySet<string> | null = null;
  return async (specs: readonly ServiceSpec[]): Promise<ReadonlySet<string>> => {
    if (known === null && specs.some(asksFor)) known = discardedBy(await docker.info());
    return known ?? NONE;
  };
}

/** Whether a declared field was ignored: the container has no value for it. */
export const isDiscarded = (key: string, has: unknown, discards: ReadonlySet<string>): boolean =>
  discards.has(key) && (has === undefined || has === null || has === false || Number(has) <= 0);
