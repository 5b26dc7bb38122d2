/** The labels by which `docker compose` and fairlead recognise their containers. */
export const PROJECT = 'com.docker.compose.project';
export const SERVICE = 'com.docker.compose.service';
export const NUMBER = 'com.docker.compose.container-number';
export const ONEOFF = 'com.docker.compose.oneoff';
/** On a hook container: the hook that it runs. */
export const HOOK = 'com.docker.compose.hook';
export const WORKING_DIR = 'com.docker.compose.project.working_dir';
export const DEPENDS_ON = 'com.docker.compose.depends_on';
export const NETWORK = 'com.docker.compose.network';
export const VOLUME = 'com.docker.compose.volume';
/** Ids of the images that it mounts, as `target=id,…`. */
export const IMAGE_VOLUMES = 'com.docker.compose.image-volume-digest';
export const HASH = 'dev.fairlead.hash';
/** The request, with one digest for each field. */
export const FIELDS = 'dev.fairlead.fields';
/** Hooks after its start and before its stop, as JSON, because its declaration may be gone when they run. */
export const HOOKS = 'dev.fairlead.hooks';
/** Names of the anonymous volumes that it took over from its predecessor. */
export const MOVED = 'dev.fairlead.moved';
/** The version of Compose whose names and labels fairlead follows. */
export const COMPOSE_VERSION = '2.40.3';

/** Whether it is one of a service's containers, and neither of `docker compose run` nor a hook container. Pure. */
export const isReplica = (labels: Readonly<Record<string, string>>): boolean =>
  labels[ONEOFF] !== 'True' && labels[HOOK] === undefined;

/** `service:shop/web` → ['shop', 'web'] */
export function locate(id: string): [project: string, name: string] {
  const locator = id.slice(id.indexOf(':') + 1);
  const at = locator.indexOf('/');
  return [locator.slice(0, at), locator.slice(at + 1)];
}
