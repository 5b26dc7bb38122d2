/** How often a service runs, how its containers are made anew, and what is run in them. Pure. */
import type { HookSpec, ServiceSpec, UpdateSpec } from './model.ts';
import type { StackContext } from './resources.ts';
import type { ComposeHook, ComposePort, ComposeService } from './types.ts';
import { writtenDuration } from './units.ts';

type Rollout = Pick<ServiceSpec, 'replicas' | 'update' | 'preStart' | 'postStart' | 'preStop'>;

const ON_FAILURE = ['rollback', 'pause', 'continue'];

export function rollout(context: StackContext, name: string, service: ComposeService): Rollout {
  const replicas = replicasOf(service);
  if (replicas > 1) refuseSingular(context, name, service, replicas);
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

/** What only one container on a host can have. */
function refuseSingular({ fail }: StackContext, name: string, service: ComposeService, replicas: number): void {
  const at = ['services', name];
  for (const [i, port] of (service.ports ?? []).entries()) {
    const room = portsOf(port);
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

/** How many ports of the host it may take; null leaves that to the engine. */
function portsOf({ published = '' }: ComposePort): number | null {
  const [first = '', last = first] = published.split('-');
  return first === '' || first === '0' ? null : Number(last) - Number(first) + 1;
}

function wider({ published = '', target }: ComposePort, replicas: number): string {
  const first = Number(published.split('-')[0]);
  return `"${first}-${first + replicas - 1}:${target}"`;
}
