/** `pre_start`: commands that run to completion, each in its own container, before a container of the service starts. */
import type { ReasonCode } from '../../../manifests-schema/reasons.ts';
import type { PreStartSpec, ServiceSpec } from '../../compose/stack/model.ts';
import { TRY_AGAIN } from '../../core/exit-codes.ts';
import { AgentError } from '../../errors.ts';
import type { ContainerRequest } from '../../system/docker/docker.ts';
import { COMPOSE_VERSION, HASH, HOOK, PROJECT, SERVICE } from '../docker/labels.ts';
import type { Tools } from './container.ts';
import { listingOf, peersIn } from './listing.ts';
import { type Peer, resolve } from './request.ts';

/** The hooks that run once for all containers of a service in one change, by index. */
export type RunOnce = Map<number, Promise<void>>;

/** The container that starts after the hooks. */
interface Before {
  spec: ServiceSpec;
  hooks: readonly PreStartSpec[];
  /** Its id: the hooks have the same mounts. */
  id: string;
  hash: string;
}

const LIMIT_MS = 1_800_000;
const POLL_MS = 200;

/**
 * Runs the hooks one after another.
 * @throws AgentError `HookFailed` with the exit code and last lines of the first that fails
 */
export async function runPreStart(tools: Tools, { hooks, ...before }: Before): Promise<void> {
  const once = tools.once ?? new Map();
  for (const [i, hook] of hooks.entries()) {
    const run = hook.perReplica ? undefined : once.get(i);
    const running = run ?? runHook(tools, before, hook, i);
    if (!hook.perReplica) once.set(i, running);
    await running;
  }
}

/** Removes hook containers that an interrupted run left behind. */
export async function removeLeftHooks({ docker }: Tools, project: string, service: string): Promise<void> {
  const left = listingOf(await docker.containers()).leftHooksOf(project, service);
  for (const { Id } of left) await docker.remove(Id, { volumes: true });
}

async function runHook(
  tools: Tools,
  { spec, id, hash }: Omit<Before, 'hooks'>,
  hook: PreStartSpec,
  index: number,
): Promise<void> {
  const { docker } = tools;
  const what = `pre_start[${index}] (${hook.command.join(' ') || hook.image || spec.image})`;
  const peers = peersIn(await docker.containers(), spec.project);
  let made: string | null = null;
  try {
    const request = preStartRequest({ spec, hook, index, id, hash, peers });
    made = await docker.create(request, (to) => tools.report?.({ field: 'warning of the engine', to }));
    for (const { name } of spec.networks.slice(1)) await docker.connect(name, made, {});
    await docker.start(made).catch((thrown) => {
      throw notStarted(what, thrown);
    });
    await waitForEnd(tools, made, what);
  } finally {
    if (made !== null) await docker.remove(made, { volumes: true });
  }
}

/**
 * The request for a hook's container: image, variables, user and directory of the service unless the hook sets them; the
 * service's networks, without its names. Pure.
 */
export function preStartRequest({
  spec,
  hook,
  index,
  id,
  hash,
  peers,
}: Omit<Before, 'hooks'> & {
  hook: PreStartSpec;
  index: number;
  peers: ReadonlyMap<string, Peer>;
}): ContainerRequest {
  const { User, WorkingDir } = spec.engine.config as { User?: string; WorkingDir?: string };
  const user = hook.user || (hook.image === '' ? User : '');
  const directory = hook.workingDir || WorkingDir;
  const environment = { ...spec.environment, ...hook.environment };
  const [first] = spec.networks;
  return {
    name: `${spec.containerName}-fairlead-pre-start-${index}`,
    ...(spec.platform && hook.image === '' ? { platform: spec.platform } : {}),
    Image: hook.image || spec.image,
    ...(hook.command.length > 0 ? { Cmd: hook.command } : {}),
    Env: Object.entries(environment).map(([key, value]) => (value === null ? key : `${key}=${value}`)),
    ...(user ? { User: user } : {}),
    ...(directory ? { WorkingDir: directory } : {}),
    Labels: {
      [PROJECT]: spec.project,
      [SERVICE]: spec.service,
      [HOOK]: 'pre_start',
      'com.docker.compose.version': COMPOSE_VERSION,
      [HASH]: hash,
    },
    HostConfig: {
      ...(hook.privileged ? { Privileged: true } : {}),
      VolumesFrom: [id],
      NetworkMode: resolve(spec.networkMode, peers) || first?.name || 'none',
    },
  };
}

async function waitForEnd({ docker, clock, signal }: Tools, id: string, what: string): Promise<void> {
  const until = clock.monotonic() + LIMIT_MS;
  for (;;) {
    const state = (await docker.inspect(id))?.State;
    // `dead` is an intermediate state of a removal.
    if (state === undefined || state.Status === 'removing' || state.Status === 'dead')
      throw failed(`${what} did not finish: somebody removed its container`, 'ContainerMissing');
    if (state.Status === 'exited') {
      if (state.ExitCode === 0) return;
      const output = await docker.logTail(id);
      throw failed(
        `${what} ended with exit code ${state.ExitCode}${output ? `: ${output}` : ' and printed nothing'}`,
        state.ExitCode === TRY_AGAIN ? 'TemporaryFailure' : 'HookFailed',
      );
    }
    if (clock.monotonic() > until) throw failed(`${what} did not end within ${LIMIT_MS / 60_000} minutes`);
    if (signal?.aborted)
      throw new AgentError({
        code: 'Stopped',
        phase: 'apply',
        message: `the agent was stopped during ${what}`,
      });
    await clock.sleep(POLL_MS, signal ?? new AbortController().signal);
  }
}

/** Docker reports a missing command; if Docker is unreachable, nothing more is known. */
const notStarted = (what: string, thrown: unknown): unknown =>
  thrown instanceof AgentError && thrown.code === 'EngineRefused'
    ? failed(`${what} could not be started: ${thrown.message}`)
    : thrown;

const failed = (message: string, code: ReasonCode = 'HookFailed') => new AgentError({ code, phase: 'apply', message });
