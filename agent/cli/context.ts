/** What a command gets: the terminal, the daemon, and what main supplies. */

import type { DoctorDocument } from '../../manifests-schema/documents.ts';
import type { ControlClient } from '../control/client.ts';
import type { HistoryDocument, HistoryQuery, RunDocument } from '../control/protocol.ts';
import type { FleetRow } from '../fleet/model.ts';
import type { OfflineKinds } from '../repo/fleet.ts';
import type { Style } from './table.ts';

export interface Terminal {
  stdout(text: string | Uint8Array): void;
  stderr(text: string): void;
  isTTY: boolean;
  /** As wide as it is now; Infinity where nobody looks at it. */
  readonly columns: number;
  env: Record<string, string | undefined>;
  now(): Date;
  /** Aborts at Ctrl-C, which from this call on does not end the program by itself. */
  interrupted(): AbortSignal;
}

export interface GlobalOptions {
  config?: string;
  root?: string;
  json?: boolean;
}

/** What the commands need of the rest of the program; main supplies it. */
export interface CliDeps {
  version: string;
  runAgent(options: GlobalOptions & { once: boolean }): Promise<number>;
  client(options: GlobalOptions): ControlClient;
  /** From the database, for when the daemon is down. */
  readHistory(options: GlobalOptions, query: HistoryQuery): HistoryDocument;
  readRun(options: GlobalOptions, id: number): RunDocument | null;
  /** Probes what the host needs of the world around it. */
  examine(options: GlobalOptions): Promise<DoctorDocument['findings']>;
  readFleet(options: GlobalOptions): Promise<FleetRow[]>;
  /** Publishes a push notice; what the request leaves out comes from agent.yaml. */
  notify(options: GlobalOptions, request: NotifyRequest): Promise<{ ref: string; topic: string }>;
  /** argv that starts this program once more. */
  self: readonly string[];
  /** For what kinds say of a declaration alone; their providers reach no host. */
  offlineKinds(): OfflineKinds;
  /** Where agent.yaml and the state are. */
  paths(options: GlobalOptions): { config: string; state: string };
  /** This host's own age recipient; null where no agent was set up. */
  ownRecipient(options: GlobalOptions): Promise<string | null>;
}

export interface NotifyRequest {
  commit: string;
  ref?: string;
  broker?: { url: string; username?: string; passwordFile?: string; ca?: string };
  prefix?: string;
  fleet?: string;
}

export interface Context {
  deps: CliDeps;
  options: GlobalOptions;
  client: ControlClient;
  terminal: Terminal;
  /** Of the terminal, as it is now. */
  readonly columns: number;
  style: Style;
  now(): Date;
  /** The one JSON document with --json, else the text. */
  print(document: unknown, text: () => string): void;
  /** Text for programs, as it is. */
  write(text: string): void;
  say(line: string): void;
  complain(line: string): void;
}

export const EXIT = { ok: 0, bad: 1, pending: 2, unreachable: 3, unknown: 4, usage: 64, interrupted: 130 } as const;

/** What they mean wherever a command says nothing else. */
export const EXIT_MEANING: Readonly<Record<number, string>> = {
  [EXIT.ok]: 'well',
  [EXIT.bad]: 'not well, or failed',
  [EXIT.pending]: 'something is due, or held',
  [EXIT.unreachable]: 'the daemon, or the broker, cannot be reached',
  [EXIT.unknown]: 'no such resource, run or bytes',
  [EXIT.usage]: 'wrong usage',
  [EXIT.interrupted]: 'interrupted while it waited for a run, which goes on',
};
