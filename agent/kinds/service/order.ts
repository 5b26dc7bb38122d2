/** Whether a new container can run beside the one that it replaces. Pure. */
import type { ServiceSpec } from '../../compose/stack/model.ts';
import { ANONYMOUS, type Replica } from '../container/fact.ts';

/** Why `order: start-first` is not possible, in a few words; null if it is possible, or not requested. */
export function whyStopFirst(spec: ServiceSpec, { info }: Replica): string | null {
  // A stopped container cannot be kept running.
  if (spec.update.order !== 'start-first' || !info.State.Running) return null;
  for (const { published } of spec.ports) {
    const [first = '', last = first] = published.split('-').map(Number);
    if (published !== '' && first !== 0 && Number(last) - Number(first) < spec.replicas)
      return `two containers cannot both publish port ${published}`;
  }
  for (const { name, ipv4, ipv6, mac } of spec.networks) {
    if (ipv4 || ipv6) return `two containers cannot both have the address ${ipv4 || ipv6} on ${name}`;
    if (mac) return `two containers cannot both have the mac_address ${mac} on ${name}`;
  }
  if (spec.ownName) return `container_name ${spec.containerName} can be given once`;
  if (/^(host|service:|container:)/.test(spec.networkMode))
    return `with network_mode ${spec.networkMode} both would listen on the same ports`;
  const anonymous = info.Mounts.find((m) => m.Type === 'volume' && ANONYMOUS.test(m.Name ?? ''));
  if (anonymous) return `the anonymous volume at ${anonymous.Destination} moves along, and cannot be used by both`;
  return null;
}

export const startsFirst = (spec: ServiceSpec, old: Replica): boolean =>
  spec.update.order === 'start-first' && old.info.State.Running && whyStopFirst(spec, old) === null;
