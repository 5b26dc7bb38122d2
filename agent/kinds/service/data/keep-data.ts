/** The change of a compose file with which a service finds its existing data. Pure. */
import type { ServiceSpec } from '../../../compose/stack/model.ts';
import type { Desired } from '../../../core/types.ts';
import { PROJECT, WORKING_DIR } from '../../docker/labels.ts';
import type { Left } from './left-behind.ts';

/** Default parent directory of everything that stacks mount by relative path. */
const TREE = '/var/lib/fairlead/tree/';

/** The rest of a sentence that begins with "to keep the data,". */
export function howToKeep({ spec }: Desired<ServiceSpec>, { old, mount, former }: Left): string {
  const { labels } = former;
  const now = mount?.source ?? '';
  if (old.Type === 'bind') {
    const before = movedDirectory(spec, old.Source, now, labels);
    const isOfTree = old.Source.startsWith(TREE);
    if (isOfTree && mount?.type === 'bind') return `stop the service and move it: mv ${old.Source} ${now}`;
    if (before !== null && !isOfTree)
      return `set x-fairlead: {project_directory: ${before}} at the top level of the stack`;
    return `mount it: volumes: ["${old.Source}:${old.Destination}"]`;
  }
  const project = labels?.[PROJECT] ?? '';
  const name =
    former.of !== null && project !== spec.project ? `set name: ${project} at the top level of the stack, or ` : '';
  if (mount?.type === 'volume' && now !== '') {
    const key = now.startsWith(`${spec.project}_`) ? now.slice(spec.project.length + 1) : now;
    return `${name}set volumes: {${key}: {name: ${old.Name}}}`;
  }
  return `${name}mount it: volumes: ["data:${old.Destination}"] at the service, with volumes: {data: {name: ${old.Name}}} at the top level`;
}

/** The former directory of the stack, if the stack's relative path leads from there to the old place. */
function movedDirectory(
  { projectDir }: ServiceSpec,
  old: string,
  now: string,
  labels: Readonly<Record<string, string>> | null | undefined,
): string | null {
  const before = labels?.[WORKING_DIR] ?? '';
  if (before === '' || before === projectDir || !now.startsWith(`${projectDir}/`)) return null;
  return `${before}/${now.slice(projectDir.length + 1)}` === old ? before : null;
}
