/** The six hosts of the demo: their repository at first, and the commit that brings each of them into another state. */

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const EXAMPLE = path.join(import.meta.dirname, '../../examples/fleet');

/** The example fleet, as the repository will have it. */
export function exampleFiles(): Record<string, string> {
  const names = readdirSync(EXAMPLE, { recursive: true, withFileTypes: true }).filter((e) => e.isFile());
  const files = names.map((e) => path.join(e.parentPath, e.name));
  return Object.fromEntries(files.map((file) => [path.relative(EXAMPLE, file), readFileSync(file, 'utf8')]));
}

/** What every host of the demo but edge-1 declares; edge-1 and edge-2 come from examples/fleet. */
const motd = (text: string) => `files:\n  /etc/motd:\n    content: |\n      ${text}\n`;
const settings = (site: string, ring: string) => `labels: {site: ${site}, ring: ${ring}}\n`;

/** Of these only edge-1 and edge-2 run a Docker engine: files and units need none. */
export const HOSTS = ['edge-1', 'edge-2', 'edge-3', 'edge-4', 'edge-5', 'edge-6'] as const;
export const PLAIN_HOSTS = HOSTS.slice(2);

export const firstFiles = (): Record<string, string> => ({
  'hosts/edge-1/host.yaml': settings('berlin', 'canary'),
  'hosts/edge-2/host.yaml': settings('berlin', 'stable'),
  'hosts/edge-3/host.yaml': settings('oslo', 'stable'),
  // Shorter than a probe of a host that is not there, so that the first one without an answer ends the trial.
  'hosts/edge-4/host.yaml': `${settings('oslo', 'canary')}settle: {timeout: 2s}\n`,
  'hosts/edge-5/host.yaml': settings('lyon', 'stable'),
  'hosts/edge-6/host.yaml': settings('lyon', 'canary'),
  ...Object.fromEntries(PLAIN_HOSTS.map((host) => [`hosts/${host}/system.yaml`, motd(`Welcome to ${host}.`)])),
});

const DAY_MS = 24 * 60 * 60_000;
/** A unit that routes the git server and the broker to a gateway that does not exist. */
const cutOff = (infra: string) => {
  const route = `${infra}/32 via ${infra.replace(/\d+$/, '250')}`;
  return `units:
  route.service:
    content: |
      [Service]
      Type=oneshot
      RemainAfterExit=yes
      ExecStart=/usr/sbin/ip route add ${route}
      ExecStop=/usr/sbin/ip route del ${route}
    state: started
`;
};

/** @param infra address of the git server and the broker */
export const rolloutFiles = (infra: string, now: number): Record<string, string> => ({
  // Closed now, whatever day it is: it opens in two days at three.
  'hosts/edge-3/host.yaml': `${settings('oslo', 'stable')}window: {schedule: "0 3 * * ${new Date(now + 2 * DAY_MS).getUTCDay()}", duration: 1h, timezone: UTC}\n`,
  'hosts/edge-3/system.yaml': motd('Version 2.'),
  'hosts/edge-4/route.yaml': cutOff(infra),
  'hosts/edge-5/orders.yaml': 'files:\n  /etc/orders.conf: {content: "max = 100\\n", owner: shop}\n',
  'hosts/edge-6/system.yaml': motd('Version 2.'),
});

/** The state into which the rollout brings each of them. */
export const ROLLED_OUT: Readonly<Record<string, { sync: string; says: string }>> = {
  'edge-3': { sync: 'held', says: 'waits for its maintenance window' },
  'edge-4': {
    sync: 'rolled-back',
    says: 'cut itself off from git server and broker, and took the commit back by itself',
  },
  'edge-5': { sync: 'failed', says: 'lacks a user, which only a person at this host can change' },
};
