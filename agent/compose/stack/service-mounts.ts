/** `volumes` of a service → what is mounted, as text or as the engine's mount object. Pure. */

import { mountProblem } from '../../core/names/reserved-paths.ts';
import type { ResourceId } from '../../core/types.ts';
import type { ComposeMount, ComposeService } from '../load/types.ts';
import { fileId, volumeId } from './ids.ts';
import type { MountSpec } from './model.ts';
import type { StackContext } from './resources.ts';

/** @param after is given what must be there first */
export function readMounts(
  context: StackContext,
  name: string,
  service: ComposeService,
  id: ResourceId,
  after: ResourceId[],
): MountSpec[] {
  return (service.volumes ?? []).map((mount, i) => {
    const at = ['services', name, 'volumes', i];
    if (mount.type === 'bind') warnOfReader(context, service.user ?? '', at);
    return readMount(context, mount, at, id, after);
  });
}

/** A decrypted file belongs to root on the host, and also in the container. */
function warnOfReader({ loaded, input, warn }: StackContext, user: string, at: readonly (string | number)[]): void {
  const repo = loaded.repoPath([...at, 'source']);
  if (repo === undefined || /^(root|0+)?(:|$)/.test(user)) return;
  const { payload } = input;
  const names = payload.has(repo) ? [repo] : [...payload.keys()].filter((file) => file.startsWith(`${repo}/`));
  const secret = names.find((file) => payload.secret?.(file));
  if (secret === undefined) return;
  const message = `${secret} is decrypted for root alone, and this service runs as \`user: ${user}\`, which cannot read it; mount it by \`secrets:\`, with \`uid:\` or \`mode:\` where needed`;
  warn([...at, 'source'], message);
}

function readMount(
  { loaded, trees, fail }: StackContext,
  mount: ComposeMount,
  at: readonly (string | number)[],
  id: ResourceId,
  after: ResourceId[],
): MountSpec {
  const { project } = loaded;
  const spec: MountSpec = {
    type: mount.type as MountSpec['type'],
    source: mount.source ?? '',
    target: (mount.target ?? '').replace(/(?<=.)\/+$/, ''),
    readOnly: mount.read_only ?? false,
    options: [mount.bind?.selinux, mount.bind?.propagation, mount.volume?.nocopy ? 'nocopy' : '']
      .filter((option) => option !== undefined)
      .filter((option) => option !== ''),
    mount: null,
  };
  if (spec.type === 'volume' && spec.source !== '') {
    after.push(volumeId(project.name, spec.source));
    const named = { ...spec, source: project.volumes?.[spec.source]?.name ?? spec.source };
    // Docker compose names a volume that is itself a bind mount in a text.
    const bound = project.volumes?.[spec.source]?.driver_opts?.o === 'bind';
    return { ...named, mount: bound ? null : mountObject(named, mount) };
  }
  if (spec.type === 'image') {
    if (spec.source === '') fail(at, 'a mount of type `image` needs an image as its `source`');
    return { ...spec, mount: mountObject(spec, mount) };
  }
  if (spec.type !== 'bind') return { ...spec, source: '', mount: mountObject({ ...spec, source: '' }, mount) };
  const problem = mountProblem(spec.source);
  if (problem !== null) fail([...at, 'source'], `\`${spec.source}\` ${problem}; mount another directory`);
  // A text creates the directory if it is missing, and can say nothing of what is mounted below it. A long form without `bind`
  // is a text for docker compose as well.
  if (mount.bind && (mount.bind.create_host_path !== true || RECURSION[mount.bind.recursive ?? '']))
    spec.mount = mountObject(spec, mount);
  const repo = loaded.repoPath([...at, 'source']);
  if (repo !== undefined) after.push(...trees.mount({ repo, path: spec.source }, id, at));
  // A managed file or directory that is mounted comes first.
  else after.push(fileId(spec.source));
  return spec;
}

/** Mounts below a bind mount: fields of the engine's BindOptions. */
const RECURSION: Record<string, Record<string, unknown>> = {
  disabled: { NonRecursive: true },
  writable: { ReadOnlyNonRecursive: true },
  readonly: { ReadOnlyForceRecursive: true },
};

/** Mounts in the engine's structured form, for mounts that its text form cannot describe. */
function mountObject(
  spec: MountSpec,
  { bind, volume, tmpfs, image, consistency }: ComposeMount,
): Record<string, unknown> {
  return {
    Type: spec.type,
    ...(spec.source === '' ? {} : { Source: spec.source }),
    Target: spec.target,
    ...(spec.readOnly ? { ReadOnly: true } : {}),
    ...(consistency ? { Consistency: consistency } : {}),
    ...(bind && spec.type === 'bind'
      ? {
          BindOptions: {
            ...(bind.propagation ? { Propagation: bind.propagation } : {}),
            ...(bind.create_host_path ? { CreateMountpoint: true } : {}),
            ...RECURSION[bind.recursive ?? ''],
          },
        }
      : {}),
    ...(volume && spec.type === 'volume'
      ? {
          VolumeOptions: {
            ...(volume.nocopy ? { NoCopy: true } : {}),
            ...(volume.subpath ? { Subpath: volume.subpath } : {}),
            ...(volume.labels ? { Labels: volume.labels } : {}),
          },
        }
      : {}),
    ...(image && spec.type === 'image'
      ? { ImageOptions: { ...(image.subpath ? { Subpath: image.subpath } : {}) } }
      : {}),
    ...(tmpfs
      ? {
          TmpfsOptions: {
            ...(tmpfs.size === undefined ? {} : { SizeBytes: Number(tmpfs.size) }),
            ...(tmpfs.mode === undefined ? {} : { Mode: tmpfs.mode }),
          },
        }
      : {}),
  };
}
