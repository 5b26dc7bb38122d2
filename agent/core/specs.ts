/** Resolved specs of the kinds that are not Compose's (those are in compose/model.ts). */

export interface FileSpec {
  /** Absolute, normalised, without a trailing slash. */
  path: string;
  type: 'file' | 'directory' | 'link' | 'absent';
  /** Bytes of a `file`. */
  content?: Uint8Array;
  /** Target of a `link`. */
  target?: string;
  /** Permission bits, e.g. 0o644. Not for links. */
  mode: number;
  /** Name or numeric id, as declared. */
  owner: string;
  group: string;
  /** The content is secret: show neither it nor its plain hash. */
  secret: boolean;
}

export interface UnitSpec {
  name: string;
  /** Text of the unit file in /etc/systemd/system; undefined where only the state of an existing unit is declared. */
  content?: string;
  enabled?: boolean;
  state?: 'started' | 'stopped';
  onChange: 'restart' | 'reload' | 'none';
  /** The content is secret: show neither it nor its plain hash. */
  secret?: boolean;
}
