/** `configs` and `secrets` of a service: files of the host, mounted read-only. Pure. */

import { mountProblem } from '../../core/names/reserved-paths.ts';
import type { ResourceId } from '../../core/types.ts';
import type { ComposeFileMount, ComposeService } from '../load/types.ts';
import { settingsAt } from './fairlead.ts';
import { fileId } from './ids.ts';
import type { MountSpec } from './model.ts';
import type { StackContext } from './resources.ts';

/** Readable for root alone on the host; what is mounted of it has the mode that is declared. */
export const SECRETS = '/var/lib/fairlead/secrets';

/** @param after is given the files that must be there first */
export function fileMounts(
  context: StackContext,
  name: string,
  service: ComposeService,
  id: ResourceId,
  after: ResourceId[],
): MountSpec[] {
  return (['secrets', 'configs'] as const).flatMap((section) =>
    (service[section] ?? []).flatMap((mount) => {
      const source = sourceOf(context, section, mount, name, id, after);
      if (source === null) return [];
      const target = targetOf(section, mount);
      const object = { Type: 'bind', Source: source, Target: target, ReadOnly: true };
      return [{ type: 'bind' as const, source, target, readOnly: true, options: [], mount: object }];
    }),
  );
}

/** Path in the container. */
export function targetOf(section: 'configs' | 'secrets', { source = '', target }: ComposeFileMount): string {
  if (section === 'configs') return target?.startsWith('/') ? target : `/${target || source}`;
  return target?.startsWith('/') ? target : `/run/secrets/${target || source}`;
}

/** The file's path on the host; null if the project has no such object, which was told before. */
function sourceOf(
  context: StackContext,
  section: 'configs' | 'secrets',
  mount: ComposeFileMount,
  service: string,
  id: ResourceId,
  after: ResourceId[],
): string | null {
  const { loaded, input, trees } = context;
  const key = mount.source ?? '';
  const object = loaded.project[section]?.[key];
  if (object === undefined) return null;
  const at = [section, key];
  const repo = object.file === undefined ? undefined : loaded.repoPath([...at, 'file']);
  const isKept = !settingsAt(loaded, at).decrypt;
  const secret = repo !== undefined && !isKept && input.payload.secret?.(repo) ? input.payload.get(repo) : undefined;
  const text = object.content ?? loaded.values.get(`${section}.${key}`);
  const bytes =
    secret ?? (object.file === undefined && text !== undefined ? new TextEncoder().encode(text) : undefined);
  if (bytes !== undefined) {
    // One copy for each mode and owner: services may ask for different ones.
    const own = mount.uid ?? mount.gid ?? mount.mode;
    const path = `${SECRETS}/${loaded.project.name}/${section}/${own === undefined ? key : `${key}.${service}`}`;
    after.push(...trees.keep(path, bytes, id, at, mount));
    return path;
  }
  if (object.file === undefined && object.environment !== undefined) {
    context.fail(
      [...at, 'environment'],
      `\`${section}.${key}\` takes its value from the variable ${object.environment}, which is not set; add it to \`vars\` or to the .env of the stack`,
    );
    return null;
  }
  const file = object.file ?? '';
  const problem = mountProblem(file);
  if (problem !== null) context.fail([...at, 'file'], `\`${file}\` ${problem}; name another file`);
  if (repo !== undefined) after.push(...trees.mount({ repo, path: file, isKept }, id, at));
  else after.push(fileId(file));
  return file;
}
