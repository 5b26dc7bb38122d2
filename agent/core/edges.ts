/** Order that follows from what resources are, without anybody writing `after` or `notify`. Pure. */
import { canonicalHash, type Sha256 } from './hash.ts';
import { isWithin } from './reserved-paths.ts';
import type { FileSpec, JobSpec, UnitSpec } from './specs.ts';
import type { Desired, ResourceId } from './types.ts';

export interface EdgeOptions {
  /** Paths of the host that a resource mounts. */
  mounts(resource: Desired): readonly string[];
  sha256: Sha256;
}

type Drafts = Map<ResourceId, Desired>;
type Edge = 'after' | 'notify' | 'reload';

/** @returns the resources with their implied edges, and with what each purged directory must keep */
export function withImpliedEdges(resources: readonly Desired[], { mounts, sha256 }: EdgeOptions): Desired[] {
  // Of doubles (an error told elsewhere) the first counts.
  const drafts: Drafts = new Map([...resources].reverse().map((r) => [r.id, r]));
  const add = (id: ResourceId, edge: Edge, other: ResourceId) => {
    const draft = drafts.get(id);
    if (draft === undefined || !drafts.has(other) || id === other || draft[edge]?.includes(other)) return;
    // What somebody wrote down goes before what we conclude.
    if (edge === 'after' && drafts.get(other)?.after.includes(id)) return;
    drafts.set(id, { ...draft, [edge]: [...(draft[edge] ?? []), other] });
  };
  for (const { id, after, spec } of resources) {
    if (id.startsWith('job:') && (spec as JobSpec).when === 'change') for (const from of after) add(from, 'notify', id);
    if (id.startsWith('unit:')) unitEdges(id, spec as UnitSpec, drafts, add);
  }
  for (const resource of resources) for (const path of mounts(resource)) mountEdges(resource, path, drafts, add);
  if (!resources.some((r) => isPurged(r))) return resources.map((r) => drafts.get(r.id) ?? r);
  const keep = keepers(resources);
  return resources.map((r) => {
    const draft = drafts.get(r.id) ?? r;
    if (!isPurged(draft)) return draft;
    const spec = draft.spec as FileSpec;
    const full: FileSpec = { ...spec, keep: [...(keep.get(spec.path) ?? [])].sort() };
    return { ...draft, spec: full, hash: canonicalHash(full, sha256) };
  });
}

function isPurged({ id, spec }: Desired): boolean {
  const { type, purge } = spec as FileSpec;
  return id.startsWith('file:') && type === 'directory' && purge === true;
}

function unitEdges(
  id: ResourceId,
  spec: UnitSpec,
  drafts: Drafts,
  add: (id: ResourceId, edge: Edge, other: ResourceId) => void,
): void {
  const { name } = spec;
  const instance = /^(.*)@[^@]+(\.[a-z]+)$/.exec(name);
  const template = instance && drafts.get(`unit:${instance[1]}@${instance[2]}`);
  if (template) {
    // A changed template is a change of each of its instances.
    const { onChange } = template.spec as UnitSpec;
    if (onChange === 'none') add(id, 'after', template.id);
    else add(template.id, onChange === 'reload' ? 'reload' : 'notify', id);
  }
  // systemd does not start a socket whose service runs already.
  const socket: ResourceId = `unit:${name.replace(/\.service$/, '.socket')}`;
  if (name.endsWith('.service') && socket !== id) add(id, 'after', socket);
  if (name.endsWith('.mount') && spec.state === 'started')
    for (const file of drafts.keys()) {
      const path = file.startsWith('file:') ? file.slice('file:'.length) : '';
      if (path !== '' && path !== mountPoint(name) && isWithin(path, mountPoint(name))) add(file, 'after', id);
    }
}

/** What is mounted is in place first; a single file that is replaced stays behind in the mount, so its user restarts. */
function mountEdges(
  { id: user, quiet = [] }: Desired,
  path: string,
  drafts: Drafts,
  add: (id: ResourceId, edge: Edge, other: ResourceId) => void,
): void {
  for (const [id, { spec }] of drafts) {
    if (!id.startsWith('file:') || !isWithin(id.slice('file:'.length), path)) continue;
    add(user, 'after', id);
    if (id === `file:${path}` && (spec as FileSpec).type === 'file' && !quiet.includes(path)) add(id, 'notify', user);
  }
}

/** Directory → names in it that somebody declares, or that lead to something declared. */
function keepers(resources: readonly Desired[]): Map<string, Set<string>> {
  const keep = new Map<string, Set<string>>();
  const note = (path: string) => {
    const parts = path.split('/').slice(1);
    parts.forEach((name, i) => {
      const dir = `/${parts.slice(0, i).join('/')}`;
      keep.set(dir, (keep.get(dir) ?? new Set()).add(name));
    });
  };
  for (const { id, spec } of resources) {
    if (id.startsWith('file:') && (spec as FileSpec).type !== 'absent') note((spec as FileSpec).path);
    if (!id.startsWith('unit:')) continue;
    const { name, content, dropins } = spec as UnitSpec;
    if (content !== undefined) note(`/etc/systemd/system/${name}`);
    for (const file of Object.keys(dropins ?? {})) note(`/etc/systemd/system/${name}.d/${file}`);
  }
  return keep;
}

/** systemd-escape(1), backwards: `mnt-data.mount` → `/mnt/data`. */
function mountPoint(name: string): string {
  const escaped = name.slice(0, -'.mount'.length);
  if (escaped === '-') return '/';
  const path = escaped
    .split('-')
    .join('/')
    .replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return `/${path}`;
}
