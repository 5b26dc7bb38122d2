/** What a stack is read from. */
import type { Sha256 } from '../../core/hash.ts';
import type { Payload } from '../../core/payload.ts';

export interface StackInput {
  /** Directory in the repository. */
  dir: string;
  layer: string;
  /** In the order in which they are merged. */
  files: readonly { path: string; text: string }[];
  env: { path: string; text: string } | null;
  /** `vars` of the fleet, with the built-ins among them. */
  vars: Record<string, string>;
  /** Path in the repository → bytes. */
  payload: Payload;
  /** Absolute directory on the host below which relative mounts live. */
  treeRoot: string;
  sha256: Sha256;
  /** Plain bytes of an encrypted file, for `env_file` and `secrets`; undefined where it is none, or cannot be opened. */
  decrypt?(path: string): Uint8Array | undefined;
  /** A client's config.json (docs.docker.com, `docker login`) with the logins of this host. Throws where one cannot be read. */
  logins?(): string;
}
