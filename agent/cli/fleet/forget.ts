/** `fairlead fleet forget`: takes away what hosts left on the broker that are gone for good. */
import { isHostName } from '../../../manifests-schema/host-name.ts';
import type { Forgotten } from '../../fleet/forget.ts';
import { type Context, EXIT } from '../context.ts';
import { type BrokerFlags, brokerComplaint, brokerRequest } from './broker-flags.ts';

const TEXTS: Record<Forgotten, (host: string) => string> = {
  forgotten: (host) => `${host}: forgotten`,
  online: (host) =>
    `${host}: is online and would report again; stop its agent first (\`systemctl disable --now fairlead\` there)`,
  unknown: (host) => `${host}: the broker has nothing of such a host`,
};

export async function fleetForget(c: Context, hosts: readonly string[], flags: BrokerFlags): Promise<number> {
  const bad = hosts.find((host) => !isHostName(host));
  const complaint = bad === undefined ? brokerComplaint(flags) : `${bad} is no name of a host`;
  if (complaint !== null) {
    c.complain(complaint);
    return EXIT.usage;
  }
  const told = await c.deps.forgetHosts(c.options, { ...brokerRequest(flags), hosts: [...new Set(hosts)] });
  c.print({ schema: 1, hosts: told }, () => told.map(({ host, result }) => TEXTS[result](host)).join('\n'));
  return told.every(({ result }) => result === 'forgotten') ? EXIT.ok : EXIT.bad;
}
