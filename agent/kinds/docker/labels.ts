/** The labels by which `docker compose`, and we, know what belongs to whom. */
export const PROJECT = 'com.docker.compose.project';
export const SERVICE = 'com.docker.compose.service';
export const NUMBER = 'com.docker.compose.container-number';
export const ONEOFF = 'com.docker.compose.oneoff';
/** Of a container in which something is run for a service: what that is. */
export const HOOK = 'com.docker.compose.hook';
export const WORKING_DIR = 'com.docker.compose.project.working_dir';
export const DEPENDS_ON = 'com.docker.compose.depends_on';
export const NETWORK = 'com.docker.compose.network';
export const VOLUME = 'com.docker.compose.volume';
/** Ids of the images that it mounts, as `target=id,…`. */
export const IMAGE_VOLUMES = 'com.docker.compose.image-volume-digest';
export const HASH = 'dev.fairlead.hash';
/** What was asked for, a digest a field. */
export const FIELDS = 'dev.fairlead.fields';
/** What is run in it after its start and before its stop, as JSON: a declaration that is gone cannot say it. */
export const HOOKS = 'dev.fairlead.hooks';
/** Anonymous volumes that moved along from the container before, by name. */
export const MOVED = 'dev.fairlead.moved';
/** The version of Compose whose way of naming and labelling we follow. */
export const COMPOSE_VERSION = '2.40.3';

/** One that a service consists of: neither of `docker compose run`, nor one in which something is run for it. Pure. */
export const isReplica = (labels: Readonly<Record<string, string>>): boolean =>
  labels[ONEOFF] !== 'True' && labels[HOOK] === undefined;

/** `service:shop/web` → ['shop', 'web'] */
export function locate(id: string): [project: string, name: string] {
  const locator = id.slice(id.indexOf(':') + 1);
  const at = locator.indexOf('/');
  return [locator.slice(0, at), locator.slice(at + 1)];
}
