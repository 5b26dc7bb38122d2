/**
 * Holds a service that would start with an empty volume or directory while its data stays in another one: an operator decides.
 */
import type { MountSpec, ServiceSpec } from '../../../compose/stack/model.ts';
import { repositoryName } from '../../../core/names/image-name.ts';
import type { Around, Doubt, Work } from '../../../core/provider.ts';
import type { ResourceId } from '../../../core/types.ts';
import { AgentError } from '../../../errors.ts';
import type { ContainerInfo, Docker } from '../../../system/docker/docker.ts';
import { observeFailed } from '../../../system/docker/errors.ts';
import type { LookAtPlace } from '../../../system/place.ts';
import { ANONYMOUS, nameOf, type ServiceFact } from '../../container/fact.ts';
import { DEPENDS_ON, locate, PROJECT } from '../../docker/labels.ts';
import { createDataLook, type Where } from './data.ts';
import { howToKeep } from './keep-data.ts';

export interface LeftBehindOptions {
  docker: Pick<Docker, 'volumes' | 'image'>;
  lookAt: LookAtPlace;
}

type Mounted = Pick<ContainerInfo['Mounts'][number], 'Type' | 'Name' | 'Source' | 'Destination' | 'RW'>;
type ServiceWork = Work<ServiceSpec, ServiceFact>;
type DataLook = ReturnType<typeof createDataLook>;

/** The former owner of the data that a service should start with. */
interface Former {
  /** A part of a sentence: `shop-db-1 has`. */
  has: string;
  mounts: readonly Mounted[];
  labels: Readonly<Record<string, string>>;
  /** The service that will be removed, if it is another one. */
  of: ResourceId | null;
}

/** The remembered data of a service, in case somebody removes its containers. */
interface Memo {
  image: string;
  mounts: readonly { type: string; source: string; target: string }[];
}

/** See `Provider.memo`. */
export const memoOf = ({ image, mounts }: ServiceSpec): Memo & Readonly<Record<string, unknown>> => ({
  image,
  mounts: mounts
    .filter((m) => !m.readOnly && m.source !== '' && (m.type === 'bind' || m.type === 'volume'))
    .map(({ type, source, target }) => ({ type, source, target })),
});

/** A place with data, and the place that would be used instead. */
export interface Left {
  former: Former;
  old: Mounted;
  /** null for an anonymous volume. */
  mount: MountSpec | null;
}

/** The services that must wait, with the removals that wait with them. */
export async function leftBehind(
  work: readonly ServiceWork[],
  around: Around,
  { docker, lookAt }: LeftBehindOptions,
): Promise<ReadonlyMap<ResourceId, Doubt | AgentError>> {
  const doubts = new Map<ResourceId, Doubt | AgentError>();
  const asked = work.flatMap((one) => {
    const formers = mayLeave(one) ? formersOf(one, around) : [];
    return formers.length > 0 ? [{ one, formers }] : [];
  });
  if (asked.length === 0) return doubts;
  const data = createDataLook({ lookAt, around, volumes: await docker.volumes() });
  for (const { one, formers } of asked) {
    const { want } = one;
    const volumes = await volumesOfImage(docker, one).catch((thrown) => observeFailed(thrown, want.id));
    if (volumes instanceof AgentError) {
      doubts.set(want.id, volumes);
      continue;
    }
    const left = await firstLeft(want.spec, formers, data, volumes);
    if (left === null) continue;
    const place = left.mount === null ? 'a new volume without a name' : `${left.mount.source}, which is empty`;
    doubts.set(want.id, {
      code: 'DataLeftBehind',
      reason: `${want.id} would start with ${place}, at ${left.old.Destination}, while ${placeOf(left.old)}, which ${left.former.has} there, holds data; to keep the data, ${howToKeep(want, left)}; to begin without it, set x-fairlead: {empty: allow}, or run \`fairlead sync --allow-empty\``,
      keeps: left.former.of === null ? [] : keptWith(left.former.of, around),
    });
  }
  return doubts;
}

const mayLeave = ({ change, want: { spec } }: ServiceWork): boolean =>
  (change.op === 'create' || change.op === 'replace') && spec.empty !== 'allow' && spec.replicas > 0;

/**
 * The service's own containers; for a new service, containers of the same image that will be removed. Without containers, the
 * remembered data.
 */
function formersOf({ want, seen }: ServiceWork, { gone, memoOf }: Around): Former[] {
  const own = seen ? inContainers(seen.fact, null) : [];
  if (own.length > 0) return own;
  const memo = memoOf(want.id);
  if (memo !== undefined) return remembered(want.id, memo, null);
  const image = repositoryName(want.spec.image);
  return gone.flatMap(({ id, seen: other }) => {
    if (!id.startsWith('service:')) return [];
    if (other === undefined) {
      const before = memoOf(id);
      return repositoryName(String(before?.image ?? '')) === image ? remembered(id, before, id) : [];
    }
    const { replicas } = other.fact as ServiceFact;
    const alike = replicas.filter(({ info }) => repositoryName(info.Config.Image) === image);
    return inContainers({ replicas: alike, parked: [] }, id);
  });
}

const inContainers = (
  { replicas, parked }: Pick<ServiceFact, 'replicas' | 'parked'>,
  of: ResourceId | null,
): Former[] =>
  [...replicas, ...parked].map(({ info }) => ({
    has: `${nameOf(info)} has`,
    mounts: info.Mounts,
    labels: info.Config.Labels ?? {},
    of,
  }));

function remembered(
  id: ResourceId,
  memo: Readonly<Record<string, unknown>> | undefined,
  of: ResourceId | null,
): Former[] {
  const mounts = Array.isArray(memo?.mounts) ? (memo.mounts as Memo['mounts']) : [];
  return [
    {
      has: `${id} had`,
      labels: { [PROJECT]: locate(id)[0] },
      of,
      mounts: mounts.map(({ type, source, target }) => ({
        ...{ Type: type as Mounted['Type'], Source: type === 'volume' ? '' : source, Destination: target, RW: true },
        ...(type === 'volume' ? { Name: source } : {}),
      })),
    },
  ];
}

/** Mount points that the image declares as volumes; if the new image is not here yet, those of the running image. */
async function volumesOfImage(docker: Pick<Docker, 'image'>, { want, seen }: ServiceWork): Promise<string[]> {
  const [running] = seen?.fact.replicas ?? [];
  const image = (await docker.image(want.spec.image)) ?? (running && (await docker.image(running.info.Image)));
  return Object.keys(image?.config.Volumes ?? {});
}

async function firstLeft(
  spec: ServiceSpec,
  formers: readonly Former[],
  data: DataLook,
  imageVolumes: readonly string[],
): Promise<Left | null> {
  for (const former of formers) {
    for (const old of former.mounts) {
      if (!isKeeper(old) || data.isDisposable(old.Name ?? '')) continue;
      const mount = spec.mounts.find((m) => m.target === old.Destination) ?? null;
      const isMoved =
        mount === null ? isLost(old, former) || isUncovered(spec, old, imageVolumes) : isOtherPlace(mount, old);
      // Data that another former owner already has in the new place is not left behind.
      if (!isMoved || (mount && formers.some(({ mounts }) => mounts.some((m) => isSamePlace(mount, m))))) continue;
      const where = mount === null ? 'missing' : whereOf(mount, data);
      if (mount && data.isDisposable(mount.source)) continue;
      const besides = typeof where === 'string' ? null : where.path;
      if ((await data.isEmpty(where)) && (await holdsData(old, besides, data))) return { former, old, mount };
    }
  }
  return null;
}

async function holdsData(
  { Type, Name = '', Source }: Mounted,
  besides: string | null,
  data: DataLook,
): Promise<boolean> {
  if (Source !== '') return data.holds(Source, besides);
  const where = Type === 'volume' ? data.volume(Name) : 'elsewhere';
  return typeof where !== 'string' && data.holds(where.path, besides);
}

/** The mount is writable and outlives its container. */
const isKeeper = ({ Type, RW }: Mounted): boolean => RW && (Type === 'bind' || Type === 'volume');

const isAnonymous = ({ Type, Name }: Mounted): boolean => Type === 'volume' && ANONYMOUS.test(Name ?? '');

/** An anonymous volume is only taken over when its own service is recreated. */
const isLost = (old: Mounted, former: Former): boolean => isAnonymous(old) && former.of !== null;

/** Nothing is mounted at this path any more, and the image declares a volume there, which would be new and empty. */
function isUncovered(spec: ServiceSpec, old: Mounted, imageVolumes: readonly string[]): boolean {
  if (isAnonymous(old)) return false;
  const within = (path: string, dir: string) => path === dir || path.startsWith(`${dir}/`);
  const targets = imageVolumes.filter((v) => within(v, old.Destination) || within(old.Destination, v));
  // The volume moved to another path, which the image's volume does not hide.
  const isElsewhere = spec.mounts.some(
    (m) =>
      (m.type === 'volume' ? m.source === old.Name : m.source === old.Source) &&
      !targets.some((v) => within(v, m.target)),
  );
  return !isElsewhere && targets.some((v) => !spec.mounts.some((m) => m.target === v));
}

const isSamePlace = (mount: MountSpec, { Type, Name, Source, Destination }: Mounted): boolean =>
  mount.target === Destination && (Type === 'volume' ? Name === mount.source : Source === mount.source);

function isOtherPlace(mount: MountSpec, old: Mounted): boolean {
  if (mount.readOnly || (mount.type !== 'bind' && mount.type !== 'volume')) return false;
  // A mount with only a target is an anonymous volume, which is taken over.
  if (mount.source === '') return !isAnonymous(old);
  return !isSamePlace(mount, old);
}

const whereOf = (mount: MountSpec, data: DataLook): Where => {
  if (mount.source === '') return 'missing';
  return mount.type === 'volume' ? data.volume(mount.source) : { path: mount.source };
};

export const placeOf = ({ Type, Name, Source }: Mounted): string => (Type === 'volume' ? `volume ${Name}` : Source);

/**
 * The resources that must stay for the old service to run: its dependencies, networks and volumes, and the files that they
 * mount.
 */
function keptWith(old: ResourceId, { gone }: Around): ResourceId[] {
  const [project] = locate(old);
  const kept = new Map<ResourceId, ServiceFact>();
  const factOf = (id: ResourceId) => gone.find((g) => g.id === id)?.seen?.fact as ServiceFact | undefined;
  const keep = (id: ResourceId) => {
    const fact = factOf(id);
    if (fact === undefined || kept.has(id)) return;
    kept.set(id, fact);
    for (const other of gone)
      if (other.id.startsWith(`service:${project}/`) && needs(factOf(other.id), locate(id)[1])) keep(other.id);
  };
  keep(old);
  const sources = [...kept.values()]
    .flatMap(({ replicas }) => replicas.flatMap(({ info }) => info.Mounts))
    .map((m) => m.Source);
  const isMounted = (path: string) =>
    sources.some((source) => path === source || path.startsWith(`${source}/`) || source.startsWith(`${path}/`));
  const others = gone.filter(
    ({ id }) =>
      id.startsWith(`network:${project}/`) ||
      id.startsWith(`volume:${project}/`) ||
      (id.startsWith('file:') && isMounted(id.slice('file:'.length))),
  );
  return [...kept.keys(), ...others.map(({ id }) => id)];
}

/** The label's format is `db:service_started:false,…`. */
const needs = (fact: ServiceFact | undefined, service: string): boolean =>
  (fact?.replicas[0]?.info.Config.Labels?.[DEPENDS_ON] ?? '').split(',').some((part) => part.split(':')[0] === service);
