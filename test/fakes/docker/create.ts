/** `POST /containers/create`: the configuration of a container, from a request, its image and the Docker engine's defaults. */
import type { ContainerConfig, ContainerRequest, ImageConfig } from '../../../agent/system/docker/docker.ts';
import { mountsFor } from './mounts.ts';
import { conflict, refusal } from './refusals.ts';
import { emitContainerEvent, type FakeContainer, imageOf, type Mount, type State } from './state.ts';

/** @returns its id */
export function createContainer(state: State, request: ContainerRequest): string {
  const { name = '' } = request;
  refuseTaken(state, name);
  const image = imageOf(state, request.Image ?? '');
  if (image === undefined) throw refusal(404, 'no such container', `No such image: ${request.Image}`);
  const id = state.newId();
  const host = hostOf(request);
  const container: FakeContainer = {
    id,
    name,
    imageId: image.id,
    config: configOf(request, image.config, id),
    host,
    mounts: mountsFor(state, request, image.config),
    networks: attachmentsOf(state, request),
    status: 'created',
    pid: 0,
    exitCode: 0,
    error: '',
    startedAt: null,
    finishedAt: null,
    health: null,
    failedProbes: 0,
    log: [],
    ports: [],
    restarts: 0,
    isBusy: false,
    pending: new Set(),
  };
  state.containers.set(id, container);
  emitContainerEvent(state, container, 'create');
  return id;
}

/** @throws the Docker engine's error if a container has that name */
export function refuseTaken(state: State, name: string): void {
  for (const { id, name: taken } of state.containers.values())
    if (taken === name)
      throw conflict(
        `Conflict. The container name "/${name}" is already in use by container "${id}". You have to remove (or rename) that container to be able to reuse that name.`,
      );
}

const list = (value: unknown): string[] => (value === undefined || value === null ? [] : [value].flat().map(String));

function configOf(request: ContainerRequest, image: ImageConfig, id: string): ContainerConfig {
  const ownEntrypoint = request.Entrypoint !== undefined;
  const entrypoint = ownEntrypoint ? list(request.Entrypoint) : list(image.Entrypoint);
  // An entrypoint in the request disables the image's command.
  const command = request.Cmd ?? (ownEntrypoint ? null : (image.Cmd ?? null));
  const check = request.Healthcheck ? { ...image.Healthcheck, ...filled(request.Healthcheck) } : image.Healthcheck;
  const signal = request.StopSignal ?? image.StopSignal;
  return {
    Hostname: request.Hostname || id.slice(0, 12),
    Domainname: request.Domainname ?? '',
    User: request.User ?? image.User ?? '',
    Image: request.Image ?? '',
    WorkingDir: request.WorkingDir ?? image.WorkingDir ?? '',
    Labels: { ...image.Labels, ...request.Labels },
    Env: variables(request.Env, image.Env),
    Cmd: command,
    Entrypoint: entrypoint.length > 0 ? entrypoint : null,
    ExposedPorts: { ...image.ExposedPorts, ...request.ExposedPorts },
    Volumes: { ...image.Volumes, ...request.Volumes },
    OpenStdin: request.OpenStdin ?? false,
    Tty: request.Tty ?? false,
    ...(check ? { Healthcheck: check } : {}),
    ...(signal ? { StopSignal: signal } : {}),
    ...(request.StopTimeout === undefined ? {} : { StopTimeout: request.StopTimeout }),
  };
}

/** Values of 0 are inherited. */
const filled = <T extends object>(value: T): Partial<T> =>
  Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== 0)) as Partial<T>;

/** The request's variables override the image's; one without a value removes the variable. */
function variables(asked: readonly string[] = [], inherited: readonly string[] | null = []): string[] {
  const nameOf = (entry: string) => entry.split('=')[0] ?? '';
  const names = new Set(asked.map(nameOf));
  return [...asked.filter((entry) => entry.includes('=')), ...(inherited ?? []).filter((e) => !names.has(nameOf(e)))];
}

const MEMORY_SWAP = 2;

function hostOf({ HostConfig: host = {} }: ContainerRequest): FakeContainer['host'] {
  const { Memory = 0, MemorySwap = 0 } = host;
  return {
    ShmSize: 67_108_864,
    IpcMode: 'private',
    LogConfig: { Type: 'json-file', Config: {} },
    Runtime: 'runc',
    MaskedPaths: ['/proc/kcore'],
    ReadonlyPaths: ['/proc/bus'],
    ...host,
    NetworkMode: host.NetworkMode || 'bridge',
    RestartPolicy: { MaximumRetryCount: 0, ...host.RestartPolicy, Name: host.RestartPolicy?.Name || 'no' },
    ...(Memory > 0 && MemorySwap === 0 ? { MemorySwap: MEMORY_SWAP * Memory } : {}),
  };
}

/** The network of its creation; further ones are looked up when it starts. */
function attachmentsOf(state: State, request: ContainerRequest): FakeContainer['networks'] {
  const mode = request.HostConfig?.NetworkMode || 'bridge';
  if (mode.startsWith('container:')) return new Map();
  const known = [...state.networks.values()].find((n) => n.Name === mode || n.Id === mode);
  const asked = request.NetworkingConfig?.EndpointsConfig ?? {};
  const name = known?.Name ?? mode;
  return new Map([[name, attachment(known?.Id ?? '', asked[name] ?? asked[mode] ?? {})]]);
}

/** @param asked EndpointSettings of the Engine API */
export function attachment(networkId: string, asked: object): ReturnType<FakeContainer['networks']['get']> & {} {
  const { Aliases, Links, IPAMConfig, MacAddress, DriverOpts, GwPriority } = asked as Record<string, never>;
  return {
    NetworkID: networkId,
    IPAddress: '',
    MacAddress: MacAddress ?? '',
    Aliases: Aliases ?? null,
    Links: Links ?? null,
    IPAMConfig: IPAMConfig ?? null,
    DriverOpts: DriverOpts ?? null,
    ...(GwPriority === undefined ? {} : { GwPriority }),
  };
}

export const asMounts = (mounts: readonly Mount[]) => mounts.map(({ isNamed: _, isBorrowed: __, ...mount }) => mount);
