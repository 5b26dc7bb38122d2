/** What an engine drops of a request, since its kernel cannot do it: it says so in a warning, and the container runs without. */
import type { ServiceSpec } from '../../compose/stack/model.ts';
import type { Docker, EngineInfo } from '../../system/docker/docker.ts';

/** Fields of HostConfig (Engine API) → whether the engine keeps them; the words are those of `GET /info`. */
const KEPT: Record<string, (info: EngineInfo) => boolean> = {
  OomKillDisable: (info) => info.OomKillDisable !== false,
  // No more in cgroup v2.
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

/** Fields that this engine drops. Pure. */
export const discardedBy = (info: EngineInfo): ReadonlySet<string> =>
  new Set(Object.keys(KEPT).filter((key) => KEPT[key]?.(info) === false));

const asksFor = ({ engine }: ServiceSpec): boolean => Object.keys(KEPT).some((key) => Boolean(engine.host[key]));

const NONE: ReadonlySet<string> = new Set();

/** The engine is asked once, and only where a declaration has something that it may drop. */
export function createDiscards(docker: Docker) {
  let known: ReadonlySet<string> | null = null;
  return async (specs: readonly ServiceSpec[]): Promise<ReadonlySet<string>> => {
    if (known === null && specs.some(asksFor)) known = discardedBy(await docker.info());
    return known ?? NONE;
  };
}

/** What is declared and was dropped: the container has nothing in its place. */
export const isDiscarded = (key: string, has: unknown, discards: ReadonlySet<string>): boolean =>
  discards.has(key) && (has === undefined || has === null || has === false || Number(has) <= 0);
