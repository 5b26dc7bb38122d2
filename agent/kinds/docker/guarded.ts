/**
 * A Docker driver that checks the bind sources of containers before they are created or started, and records what they can
 * write. The Docker engine follows every link on the way to a bind source.
 */
import { volumePaths } from '../../core/names/volume-paths.ts';
import type { ContainerInfo, ContainerRequest, ContainerSummary, Docker } from '../../system/docker/types.ts';
import type { Files } from '../../system/files/types.ts';
import type { Exposures } from '../../system/paths/exposed.ts';

/** A directory or file of the host that a container mounts. */
interface BindSource {
  source: string;
  readOnly: boolean;
}

export interface GuardedOptions {
  files: Pick<Files, 'checkSource'>;
  exposures: Pick<Exposures, 'add'>;
}

/** @returns a driver whose `create`, `start`, `restart` and `createVolume` throw AgentError `UnsafePath` or `OwnPath` */
export function guarded(docker: Docker, { files, exposures }: GuardedOptions): Docker {
  const admit = (sources: readonly BindSource[]) => {
    for (const { source } of sources) files.checkSource(source);
    exposures.add(writable(sources));
  };
  /** The list that was checked already: it stays the same array while nothing changes. */
  let known: readonly unknown[] | null = null;
  let knownVolumes: readonly unknown[] | null = null;
  const again = async (id: string) => {
    const info = await docker.inspect(id);
    if (info) admit(sourcesOf(info.HostConfig));
  };
  return {
    ...docker,
    async containers() {
      const all = await docker.containers();
      if (all !== known) exposures.add(all.flatMap(writableIn));
      known = all;
      return all;
    },
    async volumes() {
      const all = await docker.volumes();
      if (all !== knownVolumes) exposures.add(all.flatMap(({ Options }) => writable(boundBy(Options))));
      knownVolumes = all;
      return all;
    },
    async create(options, warn) {
      admit(sourcesOf(options.HostConfig));
      return docker.create(options, warn);
    },
    // A source that was harmless when the container was created may be a link now.
    async start(id) {
      await again(id);
      return docker.start(id);
    },
    async restart(id, grace) {
      await again(id);
      return docker.restart(id, grace);
    },
    async createVolume(options) {
      admit(boundBy(options.DriverOpts));
      return docker.createVolume(options);
    },
  };
}

/** Bind mounts of a request or an inspection: `SOURCE:TARGET[:OPTIONS]` texts and mount objects. */
export function sourcesOf(config: ContainerRequest['HostConfig'] | ContainerInfo['HostConfig']): BindSource[] {
  const texts = (config?.Binds ?? []).map((bind): BindSource => {
    const [source = '', , options = ''] = bind.split(':');
    return { source, readOnly: options.split(',').includes('ro') };
  });
  const objects = (config?.Mounts ?? [])
    .filter(({ Type }) => Type === 'bind')
    .map(({ Source, ReadOnly }): BindSource => ({ source: Source, readOnly: ReadOnly === true }));
  // A source without a leading slash names a volume.
  return [...texts, ...objects].filter(({ source }) => source.startsWith('/'));
}

/** Host paths that a listed container can write, and the directory of its volumes. */
function writableIn({ Mounts }: ContainerSummary): string[] {
  return (Mounts ?? []).flatMap(({ Type, Source, RW }) => {
    if (RW === false || !Source?.startsWith('/')) return [];
    if (Type === 'bind') return [Source];
    const volumes = /^(.+\/volumes)\/[^/]+\/_data$/.exec(Source)?.[1];
    return Type === 'volume' && volumes !== undefined ? [volumes] : [];
  });
}

/** Directories of the host that a volume of the local driver consists of. */
const boundBy = (options: Parameters<typeof volumePaths>[0]): BindSource[] =>
  volumePaths(options).map(({ path, readOnly }) => ({ source: path, readOnly }));

const writable = (sources: readonly BindSource[]): string[] =>
  sources.filter(({ readOnly }) => !readOnly).map(({ source }) => source);
