/** Resolved specs of the kinds that are not Compose's (those are in compose/stack/model.ts). */

import type { Content } from './payload.ts';

export interface FileSpec {
  /** Absolute, normalised, without a trailing slash. */
  path: string;
  type: 'file' | 'directory' | 'link' | 'absent';
  /** Of a `file`. */
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
  /** Of a directory: what is in it and not declared is removed. Of `absent`: a directory goes with all in it. */
  purge?: boolean;
  /** Names in a purged directory that are declared. */
  keep?: readonly string[];
  /** argv of the program that judges a candidate, `%s`, before it takes the old one's place. */
  validate?: readonly string[];
}

export interface UnitSpec {
  name: string;
  /** Text of the unit file in /etc/systemd/system; undefined where only the state of an existing unit is declared. */
  content?: string;
  /** File name → text, in /etc/systemd/system/NAME.d. */
  dropins?: Readonly<Record<string, string>>;
  enabled?: boolean;
  masked?: boolean;
  state?: 'started' | 'stopped';
  onChange: 'restart' | 'reload' | 'none';
  /** The content is secret: show neither it nor its plain hash. */
  secret?: boolean;
}

export interface JobSpec {
  name: string;
  run: readonly string[];
  when: 'change' | 'once' | 'always';
  unless?: readonly string[];
  cwd: string;
  env: Readonly<Record<string, string>>;
  /** Name or numeric id. */
  user: string;
  timeoutMs: number;
  /** Whether it runs on the way back to an earlier commit. */
  onRollback: 'skip' | 'run';
}

export interface CheckSpec {
  name: string;
  probe:
    | { type: 'http'; url: string /** null: any 2xx. */; expect: number | null }
    | { type: 'tcp'; host: string; port: number }
    | { type: 'run'; argv: readonly string[]; expect: number };
  /** How long it may take to pass after an apply. */
  withinMs: number;
  everyMs: number;
}
