/** Number of containers of a service, how they are replaced, and the commands that are run in them. Pure. */

import type { ComposeHook, ComposePort, ComposeService } from '../load/types.ts';
import { writtenDuration } from '../spec/units.ts';
import type { HookSpec, ServiceSpec, UpdateSpec } from './model.ts';
import type { StackContext } from './resources.ts';

type Rollout = Pick<ServiceSpec, 'replicas' | 'update' | 'preStart' | 'postStart' | 'preStop'>;

const ON_FAILURE = ['rollback', 'pause', 'continue'];

export function rollout(context: StackContext, name: string, service: ComposeService): Rollout {
  const replicas = replicasOf(service);
  if (replicas > 1) refuseSingular(context, name, service, replicas);
  if (replicas > 0) refuseTwice(context, name, service);
  return {
    replicas,
    update: update(context, name, service),
    preStart: (service.pre_start ?? []).map((given) => ({
      ...hook(given),
      image: given.image ?? '',
      perReplica: given.per_replica ?? false,
    })),
    postStart: (service.post_start ?? []).map(hook),
    preStop: (service.pre_stop ?? []).map(hook),
  };
}

export const replicasOf = ({ scale, deploy }: ComposeService): number => Math.max(0, scale ?? deploy?.replicas ?? 1);

function update({ fail }: StackContext, name: string, { deploy }: ComposeService): UpdateSpec {
  const given = deploy?.update_config ?? {};
  const action = given.failure_action ?? '';
  if (action !== '' && !ON_FAILURE.includes(action))
    fail(
      ['services', name, 'deploy', 'update_config', 'failure_action'],
      `\`failure_action\` must be ${ON_FAILURE.join(', ').replace(/, (?=\w+$)/, ' or ')}, got \`${action}\``,
    );
  return {
    order: given.order ?? 'stop-first',
    parallelism: given.parallelism ?? 1,
    delay: writtenDuration(given.delay),
    onFailure: action as UpdateSpec['onFailure'],
    monitor: writtenDuration(given.monitor),
    maxFailureRatio: Math.min(1, Math.max(0, given.max_failure_ratio ?? 0)),
  };
}

const hook = ({ command, user, privileged, working_dir, environment }: ComposeHook): HookSpec => ({
  command: command ?? [],
  user: user ?? '',
  privileged: privileged ?? false,
  workingDir: working_dir ?? '',
  environment: Object.fromEntries(
    Object.entries(environment ?? {}).flatMap(([key, value]) => (value === null ? [] : [[key, value]])),
  ),
});

/** Settings that only one container on a host can have. */
function refuseSingular({ fail }: StackContext, name: string, service: ComposeService, replicas: number): void {
  const at = ['services', name];
  for (const [i, port] of (service.ports ?? []).entries()) {
    const room = portsOf(port.published);
    if (room !== null && room < replicas)
      fail(
        [...at, 'ports', i],
        `\`ports\` publishes ${room === 1 ? 'the one port' : `${room} ports,`} ${port.published}, and \`${name}\` runs ${replicas} times; publish a range such as ${wider(port, replicas)}, or leave the host's port out`,
      );
  }
  for (const [network, how] of Object.entries(service.networks ?? {}))
    for (const key of ['ipv4_address', 'ipv6_address', 'mac_address'] as const)
      if (how?.[key])
        fail(
          [...at, 'networks', network, key],
          `\`${key}\` can be given to one container, and \`${name}\` runs ${replicas} times; remove it`,
        );
}

/** One host port for two container ports: the engine would start neither. */
function refuseTwice({ fail }: StackContext, name: string, { ports = [] }: ComposeService): void {
  const keyOf = ({ protocol = 'tcp', host_ip = '', published = '' }: ComposePort) =>
    portsOf(published) === 1 ? `${protocol}/${host_ip === '0.0.0.0' ? '' : host_ip}:${published}` : null;
  const first = new Map<string, ComposePort>();
  for (const [i, port] of ports.entries()) {
    const key = keyOf(port);
    const other = key === null ? undefined : first.get(key);
    if (key !== null && other === undefined) first.set(key, port);
    if (other)
      fail(
        ['services', name, 'ports', i],
        `\`ports\` publishes ${port.published} for ${other.target} and for ${port.target}, and only one of them can have it; give one another port`,
      );
  }
}

/** Number of host ports that it may take; null leaves the choice to the engine. */
function portsOf(published = ''): number | null {
  const [first = '', last = first] = published.split('-');
  return first === '' || first === '0' ? null : Number(last) - Number(first) + 1;
}

function wider({ published = '', target }: ComposePort, replicas: number): string {
  const first = Number(published.split('-')[0]);
  return `"${first}-${first + replicas - 1}:${target}"`;
}
