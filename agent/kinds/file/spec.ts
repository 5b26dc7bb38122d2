/** A resolved entry of `files`; stacks declare what their services mount by the same shape. */
export type { HostPath as FileSpec } from '../../core/host-path.ts';
