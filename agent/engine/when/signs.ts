/** Signs that a cause has ended: while something is backed off, the host's network is looked at now and then. */
import { type ReasonCode, reasonOf } from '../../../manifests-schema/reasons.ts';
import type { ResourceId } from '../../core/types.ts';
import type { Backoff } from '../types.ts';

interface Network {
  links: string;
  ports: ReadonlySet<string>;
}

export interface SignsOptions {
  backoff: Backoff;
  look(): Network;
  /** Something may be tried again. */
  ended(): void;
  /** A run is at work: what changes meanwhile is its own doing. */
  isBusy(): boolean;
}

export interface Signs {
  /** One look; to be called every few seconds. */
  look(): void;
  /** Something happened to these resources. */
  touched(ids: readonly ResourceId[]): void;
}

/** A way that opens helps what waits for somebody far away, or for an address of this host's own. */
const needsWay = (code: ReasonCode): boolean => reasonOf(code).fault === 'wait' || WITH_A_LINK.includes(code);
/** A link that comes up may bring what these lack. */
const WITH_A_LINK: readonly ReasonCode[] = ['EngineRefused', 'AddressMissing'];

/** What waits for something that others make, remove or start. Trying it makes no event of its own, which would cut its pause short. */
const WAITS_FOR_OTHERS: readonly ReasonCode[] = [
  'EngineUnreachable',
  'NameConflict',
  'NetworkInUse',
  'NetworkMissing',
  'RequirementFailed',
  'SystemdUnreachable',
  'UnitNotFound',
  'VolumeInUse',
  'VolumeMissing',
];

export function createSigns({ backoff, look, ended, isBusy }: SignsOptions): Signs {
  let before: Network | null = null;
  /** While a run was at work. */
  let missed = new Set<ResourceId>();
  const hintOf = (ids: ReadonlySet<ResourceId>) => {
    if (backoff.hint((id, code) => ids.has(id) && WAITS_FOR_OTHERS.includes(code))) ended();
  };
  return {
    look() {
      if (missed.size > 0 && !isBusy()) {
        const ids = missed;
        missed = new Set();
        hintOf(ids);
      }
      if (backoff.dueMs() === null || isBusy()) {
        before = null;
        return;
      }
      const now = look();
      const last = before;
      before = now;
      if (last === null) return;
      const isFreed = [...last.ports].some((port) => !now.ports.has(port));
      const isOpened = now.links !== last.links;
      if (!isFreed && !isOpened) return;
      if (backoff.hint((_id, code) => (isFreed && code === 'PortInUse') || (isOpened && needsWay(code)))) ended();
    },
    touched(ids) {
      if (isBusy()) for (const id of ids) missed.add(id);
      else hintOf(new Set(ids));
    },
  };
}
