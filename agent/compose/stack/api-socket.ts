/** `use_api_socket`: the engine's socket, and the logins of this host, in a container that works for its user. Pure. */
import type { ResourceId } from '../../core/types.ts';
import type { ComposeService } from '../load/types.ts';
import { SECRETS } from './file-mounts.ts';
import type { MountSpec } from './model.ts';
import type { StackContext } from './resources.ts';

const SOCKET = '/var/run/docker.sock';
/** Path at which a client finds its config.json. */
const CLIENT = '/run/secrets/docker';
const NOBODY = '{"auths":{}}';

/** The variable by which a client finds its logins; what the service says of it itself wins. */
export const socketEnvironment = (service: ComposeService): Record<string, string> =>
  service.use_api_socket ? { DOCKER_CONFIG: CLIENT } : {};

/** @param after is given the file that must be there first */
export function socketMounts(
  { loaded, input, trees, fail }: StackContext,
  name: string,
  service: ComposeService,
  id: ResourceId,
  after: ResourceId[],
): MountSpec[] {
  if (!service.use_api_socket) return [];
  const at = ['services', name, 'use_api_socket'];
  const kept = `${SECRETS}/${loaded.project.name}/docker/config.json`;
  let logins = NOBODY;
  try {
    logins = input.logins?.() ?? NOBODY;
  } catch (thrown) {
    fail(at, `\`use_api_socket\`: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
  after.push(...trees.keep(kept, new TextEncoder().encode(logins), id, at, {}));
  const target = `${CLIENT}/config.json`;
  const bind = { type: 'bind' as const, options: [] };
  return [
    { ...bind, source: SOCKET, target: SOCKET, readOnly: false, mount: null },
    {
      ...bind,
      source: kept,
      target,
      readOnly: true,
      mount: { Type: 'bind', Source: kept, Target: target, ReadOnly: true },
    },
  ];
}
