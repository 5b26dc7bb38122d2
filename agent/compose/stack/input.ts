/** The input of a stack. */
import type { Sha256 } from '../../core/payload/hash.ts';
import type { Payload } from '../../core/payload/payload.ts';

export interface StackInput {
  /** Directory in the repository. */
  dir: string;
  layer: string;
  /** In the order in which they are merged. */
  files: readonly { path: string; text: string }[];
  env: { path: string; text: string } | null;
  /** `vars` of the fleet, with the built-ins among them. */
  vars: Record<string, string>;
  /** Path in the repository → bytes, decrypted where they are encrypted. */
  payload: Payload;
  /** The same as git has them, for what is to stay encrypted; where left out, `payload` has these. */
  sealed?: Payload;
  /** Absolute directory on the host below which relative mounts live. */
  treeRoot: string;
  /** Absolute directory of a project that runs already; null if there is none. Missing if no host is asked. */
  adopted?(project: string): string | null;
  sha256: Sha256;
  /** A client's config.json (docs.docker.com, `docker login`) with the logins of this host. Throws if one cannot be read. */
  logins?(): string;
}
