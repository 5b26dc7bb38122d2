/**
 * Finds the connected hosts, for a broker that cannot list them: each sends metrics once a minute, so listening a little longer finds
 * all of them. It sends nothing to the hosts, and does not find offline ones.
 */
import { isHostName } from '../../../manifests-schema/host-name.ts';

/** One minute, and a reserve for busy or distant hosts. */
export const ROLL_CALL_MS = 70_000;

const LEAVES = ['presence', 'status', 'metrics', 'events'];

export interface RollCall {
  readonly filters: readonly string[];
  /** Takes any message. */
  heard(topic: string): void;
  names(): string[];
}

/** @param base `<prefix>/<fleet>` */
export function createRollCall(base: string): RollCall {
  const names = new Set<string>();
  const start = `${base}/hosts/`;
  return {
    filters: LEAVES.map((leaf) => `${start}+/${leaf}`),
    heard(topic) {
      if (!topic.startsWith(start)) return;
      const [host = '', leaf = '', ...more] = topic.slice(start.length).split('/');
      if (more.length === 0 && LEAVES.includes(leaf) && isHostName(host)) names.add(host);
    },
    names: () => [...names],
  };
}
