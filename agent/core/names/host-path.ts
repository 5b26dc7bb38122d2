/** A path of the host, as both stacks and manifests declare it. Pure. */
import type { Content } from '../payload/payload.ts';

export interface HostPath {
  /** Absolute, normalised, without a trailing slash. */
  path: string;
  type: 'file' | 'directory' | 'link' | 'absent';
  /** Content of a `file`. */
  content?: Content;
  /** Target of a `link`. */
  target?: string;
  /** Permission bits, e.g. 0o644. Not for links. */
  mode: number;
  /** Name or numeric id, as declared. */
  owner: string;
  group: string;
  /** The content is secret: show neither it nor its plain hash. */
  secret: boolean;
  /** An existing path keeps its owner and mode, and is held if its content differs. Missing: the path is adopted. */
  existing?: 'held';
  /** For a directory: remove what it contains and no manifest declares. For `absent`: remove a directory with its contents. */
  purge?: boolean;
  /** Declared names in a purged directory. */
  keep?: readonly string[];
  /** argv of the program that checks the new content, `%s`, before it replaces the old file. */
  validate?: readonly string[];
}
