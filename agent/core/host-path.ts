/** What lies at a path of the host, as stacks and manifests alike declare it. Pure. */
import type { Content } from './payload.ts';

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
  /** What is there already keeps its owner and mode, and other content than declared is held. Left out: it is taken over. */
  existing?: 'held';
  /** Of a directory: what is in it and not declared is removed. Of `absent`: a directory goes with all in it. */
  purge?: boolean;
  /** Names in a purged directory that are declared. */
  keep?: readonly string[];
  /** argv of the program that judges a candidate, `%s`, before it takes the old one's place. */
  validate?: readonly string[];
}
