/**
 * The network of the Docker engine that the lab starts. Engines of one machine share its firewall, and each uses the bridge
 * `docker0` and the chains `DOCKER…` as its own: a second one would take them from the first. (With `--bridge=none` it even
 * removes `docker0`.) So the lab's engine has a bridge of its own and creates no rules; its labs have bridges with the same name
 * prefix, and three rules let these through.
 */
import { run } from './run.ts';

/** Prefix of the name of every bridge of a lab. */
const BRIDGE = 'fairlead-';
/** All networks of labs are in this range. */
const NETS = '172.30';
const MOST_NETS = 250;
/** The engine's own network is the one after the labs'. */
const MOST_ENGINES = 5;

/**
 * Tables and rules of iptables(8): hosts of a lab reach each other, and the machine's network from behind its address.
 * @param owner tells the rules of one engine from those of another
 */
function rulesOf(owner: string): readonly (readonly [table: string, chain: string, ...rule: string[]])[] {
  const comment = ['-m', 'comment', '--comment', aliasOf(owner)];
  const replies = ['-m', 'conntrack', '--ctstate', 'RELATED,ESTABLISHED'];
  return [
    ['filter', 'FORWARD', '-i', `${BRIDGE}+`, ...comment, '-j', 'ACCEPT'],
    ['filter', 'FORWARD', '-o', `${BRIDGE}+`, ...replies, ...comment, '-j', 'ACCEPT'],
    ['nat', 'POSTROUTING', '-s', `${NETS}.0.0/16`, '!', '-o', `${BRIDGE}+`, ...comment, '-j', 'MASQUERADE'],
  ];
}

const iptables = async (table: string, verb: '-C' | '-D' | '-I', rule: readonly string[]): Promise<boolean> =>
  (await run(['iptables', '-w', '-t', table, verb, ...rule], { check: false })).code === 0;

/**
 * Creates the engine's own bridge, and lets the bridges of labs through, before any other rules of the firewall.
 * @returns flags of dockerd(8)
 */
export async function openNetwork(owner: string): Promise<Record<string, string>> {
  await removeBridges(owner);
  const [net] = await freeNets(MOST_NETS, MOST_ENGINES);
  if (!net)
    throw new Error(`no network for the lab's engine: this machine has addresses in all of ${NETS}.250.0/24 to 254`);
  await run(['ip', 'link', 'add', 'name', net.bridge, 'type', 'bridge']);
  await run(['ip', 'link', 'set', 'dev', net.bridge, 'alias', aliasOf(owner)]);
  await run(['ip', 'address', 'add', net.subnet.replace('.0/', '.1/'), 'dev', net.bridge]);
  for (const [table, ...rule] of rulesOf(owner))
    if (!(await iptables(table, '-C', rule))) await iptables(table, '-I', rule);
  return { bridge: net.bridge, iptables: 'false', ip6tables: 'false', 'insecure-registry': '127.0.0.0/8' };
}

/** Removes what `openNetwork` added. */
export async function closeNetwork(owner: string): Promise<void> {
  await removeBridges(owner);
  for (const [table, ...rule] of rulesOf(owner)) while (await iptables(table, '-D', rule));
}

/** Distinguishes the bridge of one engine from that of another, as the rules' comment does. */
const aliasOf = (owner: string): string => `fairlead-lab ${owner}`;

async function removeBridges(owner: string): Promise<void> {
  const { stdout } = await run(['ip', '-json', 'link', 'show', 'type', 'bridge']);
  const bridges = JSON.parse(stdout || '[]') as { ifname: string; ifalias?: string }[];
  for (const { ifname, ifalias } of bridges)
    if (ifalias === aliasOf(owner)) await run(['ip', 'link', 'delete', 'dev', ifname]);
}

/** A /24 and the bridge that has it. */
export interface LabNet {
  subnet: string;
  bridge: string;
}

/** @returns the networks that labs may have, except those in which this machine has an address already */
export const freeLabNets = (): Promise<LabNet[]> => freeNets(0, MOST_NETS);

async function freeNets(first: number, count: number): Promise<LabNet[]> {
  // ip(8) also lists bridges without a connection; Node's os.networkInterfaces() leaves those out.
  const { stdout } = await run(['ip', '-json', '-4', 'address', 'show']);
  const interfaces = JSON.parse(stdout || '[]') as { addr_info?: { local?: string }[] }[];
  const addresses = interfaces.flatMap(({ addr_info = [] }) => addr_info.map(({ local = '' }) => local));
  return Array.from({ length: count }, (_, i) => first + i)
    .filter((n) => !addresses.some((address) => address.startsWith(`${NETS}.${n}.`)))
    .map((n) => ({ subnet: `${NETS}.${n}.0/24`, bridge: `${BRIDGE}${n}` }));
}
