/** Detects signs that a cause has ended: while something is backed off, the host's network is checked from time to time. */
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
  /** Whether a run is in progress, so that changes are its own. */
  isBusy(): boolean;
}

export interface Signs {
  /** Checks once; to be called every few seconds. */
  look(): void;
  /** These resources changed on the host. */
  touched(ids: readonly ResourceId[]): void;
}

/** A new route helps failures that wait for a remote server, or for an address of this host. */
const needsWay = (code: ReasonCode): boolean => reasonOf(code).fault === 'wait' || WITH_A_LINK.includes(code);
/** A link that comes up may provide what these lack. */
const WITH_A_LINK: readonly ReasonCode[] = ['EngineRefused', 'AddressMissing'];

/**
 * Failures that wait for something that others create, remove or start. A retry of these causes no event itself, which would
 * cut its own pause short.
 */
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
  /** Resources that changed while a run was in progress. */
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
