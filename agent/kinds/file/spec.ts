/** A resolved entry of `files`; stacks use the same type for files that their services mount. */
import type { ResourceId } from '../../core/types.ts';

export type { HostPath as FileSpec } from '../../core/names/host-path.ts';

/** @param id the id of a file */
export const pathOf = (id: ResourceId): string => id.slice('file:'.length);
