/** Refuses values that decide about data and programs (mounts, images, ports) if an unset variable left them empty. Pure. */
import { isImageName } from '../../core/names/image-name.ts';
import { PortError, parsePorts } from '../spec/ports.ts';

/** Stands for the empty text of a variable that is not set: no compose file has this character. */
export const UNSET = '\0';

/** Whether the value is read before a later file can replace it. */
export const isReadAtOnce = (path: string): boolean => isPort(path.split('.'));

/**
 * Why the value must not be used; null if the empty text is harmless, as Compose takes it.
 * @param marked the value with `UNSET` in place of each variable that is not set
 * @param path e.g. `services.web.volumes.0`
 */
export function harmOfUnset(marked: string, path: string): string | null {
  if (!marked.includes(UNSET)) return null;
  const value = marked.replaceAll(UNSET, '');
  const steps = path.split('.');
  if (isSource(steps)) {
    const written = isShort(steps) ? (marked.split(':')[0] ?? '') : marked;
    if (!written.startsWith(UNSET)) return null;
    const source = written.replaceAll(UNSET, '');
    if (source === '') return 'which leaves nothing to mount';
    return source.startsWith('/') ? `which makes it \`${source}\` on the host` : null;
  }
  if (isImage(steps) && !isImageName(value)) return `and \`${value}\` is not the name of an image`;
  if (isPort(steps)) return harmOfPort(value);
  return null;
}

function harmOfPort(value: string): string | null {
  try {
    parsePorts(value);
    return null;
  } catch (thrown) {
    if (thrown instanceof PortError) return `and ${JSON.stringify(value)} is not a port: ${thrown.message}`;
    throw thrown;
  }
}

const isShort = ([section, , key, , inner]: readonly string[]): boolean =>
  section === 'services' && (key === 'volumes' || key === 'devices') && inner === undefined;

/**
 * Paths of the host: bind mounts, devices, files of configs and secrets, volumes bound to a directory, the directory of the
 * stack.
 */
function isSource(steps: readonly string[]): boolean {
  const [section, , key, index, inner] = steps;
  if (section === 'services' && (key === 'volumes' || key === 'devices'))
    return steps.length === 4 || (steps.length === 5 && inner === 'source');
  if (section === 'x-fairlead') return steps.length === 2 && steps[1] === 'project_directory';
  if (section === 'configs' || section === 'secrets') return steps.length === 3 && key === 'file';
  return section === 'volumes' && key === 'driver_opts' && index === 'device' && steps.length === 4;
}

const isImage = (steps: readonly string[]): boolean =>
  steps[0] === 'services' && steps.at(-1) === 'image' && (steps.length === 3 || steps[2] === 'pre_start');

const isPort = (steps: readonly string[]): boolean =>
  steps[0] === 'services' &&
  steps[2] === 'ports' &&
  (steps.length === 4 || (steps.length === 5 && ['published', 'target'].includes(steps[4] ?? '')));
