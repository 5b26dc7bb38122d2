/** Fleet repositories in memory, for tests of the code that reads them. */
import { createHash, createHmac } from 'node:crypto';
import type { Checkout, Desired, Facts } from '../../agent/core/types.ts';
import { type LoaderOptions, load } from '../../agent/engine/load/load.ts';
import type { Loaded } from '../../agent/engine/types.ts';
import { createProviders, KINDS } from '../../agent/kinds/index.ts';
import { systemClock } from '../../agent/system/clock.ts';
import { exec } from '../../agent/system/exec.ts';

export const facts: Facts = {
  os: 'Debian 12',
  arch: 'x64',
  cpus: 2,
  memory: 2 ** 31,
  machine_id: '0123456789abcdef0123456789abcdef',
  ipv4: '192.0.2.7',
  ipv6: '',
};

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
export const keyedHash = (bytes: Uint8Array): string => createHmac('sha256', 'test').update(bytes).digest('hex');

export type Repo = Record<string, string | Uint8Array>;

export function checkoutOf(repo: Repo, hostPath = 'hosts/a', commit = '1'.repeat(40)): Checkout {
  const files = new Map(
    Object.entries(repo).map(([path, body]) => [
      path,
      typeof body === 'string' ? new TextEncoder().encode(body) : body,
    ]),
  );
  return {
    info: { ref: 'main', commit, author: 'A <a@example.com>', subject: 'x', committedAt: '2026-01-01T00:00:00.000Z' },
    hostPath,
    hostExists: [...files.keys()].some((f) => f.startsWith(`${hostPath}/`)),
    files,
  };
}

export const providers = () =>
  createProviders({
    isRoot: true,
    root: '',
    dockerSocket: '/nowhere',
    busSocket: '/nowhere',
    stagingDir: '/nowhere',
    clock: systemClock,
    exec,
    filesOnly: false,
    owned: () => false,
  });

export function loadRepo(repo: Repo, options: Partial<LoaderOptions> & { hostPath?: string } = {}): Promise<Loaded> {
  const { hostPath = 'hosts/a', ...more } = options;
  return loadCheckout(checkoutOf(repo, hostPath), more);
}

export function loadCheckout(checkout: Checkout, more: Partial<LoaderOptions> = {}): Promise<Loaded> {
  const host = checkout.hostPath.slice(checkout.hostPath.lastIndexOf('/') + 1);
  return load(
    {
      host,
      fleet: 'default',
      labels: {},
      facts,
      treeRoot: '/var/lib/fairlead/tree',
      sha256,
      keyedHash,
      kinds: KINDS,
      providers: providers(),
      ...more,
    },
    checkout,
  );
}

export const messages = ({ issues }: Loaded): string[] =>
  issues.map((i) => `${i.file}:${i.line}:${i.column}: ${i.message}`);

export const find = (loaded: Loaded, id: string): Desired<Record<string, unknown>> | undefined =>
  loaded.resources.find((r) => r.id === id) as Desired<Record<string, unknown>> | undefined;

export const textOf = (loaded: Loaded, id: string): string => {
  const content = find(loaded, id)?.spec.content;
  return content instanceof Uint8Array ? new TextDecoder().decode(content) : String(content);
};
