/**
 * Ids of what a stack declares: the only place in this room that names kinds. Compose's sections are read here rather than in the
 * rooms of those kinds, because one compose file declares all of them together.
 */
import type { ResourceId } from '../../core/types.ts';

export const serviceId = (project: string, name: string): ResourceId => `service:${project}/${name}`;
export const networkId = (project: string, key: string): ResourceId => `network:${project}/${key}`;
export const volumeId = (project: string, key: string): ResourceId => `volume:${project}/${key}`;
/** Id of a host path that a service mounts. @param path absolute; a trailing slash makes no difference */
export const fileId = (path: string): ResourceId => `file:${path.replace(/\/+$/, '')}`;
