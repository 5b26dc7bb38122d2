/** The context of a command: the terminal, the daemon, and the functions that main supplies. */

import type { DoctorDocument } from '../../manifests-schema/documents.ts';
import type { ControlClient } from '../control/client.ts';
import type { HistoryDocument, HistoryQuery, RunDocument } from '../control/protocol.ts';
import type { Acted, ActOptions } from '../fleet/act/act.ts';
import type { FollowListener } from '../fleet/follow.ts';
import type { Forgotten } from '../fleet/forget.ts';
import type { HostReading } from '../fleet/reader/host.ts';
import type { FleetReading } from '../fleet/reader/read.ts';
import type { OfflineKinds } from '../repo/fleet.ts';
import type { Style } from './text/table.ts';

export interface Terminal {
  stdout(text: string | Uint8Array): void;
  stderr(text: string): void;
  isTTY: boolean;
  /** Current width in columns; Infinity if it is no terminal. */
  readonly columns: number;
  /** Current height in lines. */
  readonly rows: number;
  /**
   * Calls the listener with each pressed key, by its name such as `q` or `pagedown`; absent without a keyboard.
   * @returns a function that ends it
   */
  keys?(onKey: (key: string) => void): () => void;
  env: Record<string, string | undefined>;
  now(): Date;
  /** Asks the person at the terminal; absent where nobody is there to answer. */
  ask?(question: string): Promise<string>;
  /** A signal that aborts at Ctrl-C. From this call on, Ctrl-C no longer ends the program by itself. */
  interrupted(): AbortSignal;
}

export interface GlobalOptions {
  config?: string;
  root?: string;
  json?: boolean;
}

/** Functions of the rest of the program that the commands need; main supplies them. */
export interface CliDeps {
  version: string;
  /** @param options with `leaving`, one run that removes what is managed, as `decommission: true` does */
  runAgent(options: GlobalOptions & { once: boolean; leaving?: boolean }): Promise<number>;
  /**
   * Starts the agent's unit now and at each boot, or stops it for good. `absent` where there is no such unit, as below --root.
   * Throws AgentError `ServiceFailed`.
   */
  service(options: GlobalOptions, what: 'start' | 'stop'): Promise<'started' | 'stopped' | 'absent'>;
  client(options: GlobalOptions): ControlClient;
  /** From the database, for when the daemon is down. */
  readHistory(options: GlobalOptions, query: HistoryQuery): HistoryDocument;
  readRun(options: GlobalOptions, id: number): RunDocument | null;
  /** Probes what the host needs of the world around it. */
  examine(options: GlobalOptions): Promise<DoctorDocument['findings']>;
  readFleet(options: GlobalOptions, request: FleetRequest): Promise<FleetReading>;
  /** Follows the fleet until the request's signal aborts, over one connection after another (agent/fleet/follow.ts). */
  followFleet(
    options: GlobalOptions,
    request: FleetRequest & { signal: AbortSignal },
    listener: FollowListener,
  ): Promise<void>;
  /** All that a host retains on the broker. */
  readHost(options: GlobalOptions, request: BrokerRequest & { host: string }): Promise<HostReading>;
  /** Has hosts carry out a command (agent/fleet/act/act.ts). */
  actOnFleet(options: GlobalOptions, request: ActRequest): Promise<Acted>;
  /** Takes away what these hosts left on the broker, but for those that are online. */
  forgetHosts(
    options: GlobalOptions,
    request: BrokerRequest & { hosts: readonly string[] },
  ): Promise<{ host: string; result: Forgotten }[]>;
  /** Serves the page of the fleet. Throws AgentError `InvalidArgument`, `InvalidConfig`, `BrokerUnreachable` (no websocket is named) */
  serveDashboard(
    options: GlobalOptions,
    request: DashboardRequest & { listen: { host: string; port: number }; names: readonly string[] },
  ): Promise<{ url: string; websocket: string; stop(): Promise<void> }>;
  /** Writes the files of the page. @returns their names. Throws the same */
  writeDashboard(
    options: GlobalOptions,
    request: DashboardRequest & { out: string },
  ): Promise<{ files: string[]; websocket: string }>;
  /** Publishes a push notice; what the request leaves out comes from agent.yaml. */
  notify(options: GlobalOptions, request: NotifyRequest): Promise<{ ref: string; topic: string }>;
  /** Runs a relay until a signal, or only checks its settings. Throws AgentError `InvalidConfig`. */
  relay(file: string, how: { check: boolean }): Promise<{ fleet: string }>;
  /** argv that starts this program once more. */
  self: readonly string[];
  /** Providers for what depends on a declaration alone (claims, diffs); they reach no host. */
  offlineKinds(): OfflineKinds;
  /** Paths of agent.yaml and of the state. */
  paths(options: GlobalOptions): { config: string; state: string };
  /** This host's own age recipient; null if no agent was set up. */
  ownRecipient(options: GlobalOptions): Promise<string | null>;
}

/** Which fleet, on which broker; what is left out comes from elsewhere (agent/fleet/contexts.ts). */
export interface BrokerRequest {
  broker?: { url: string; username?: string; passwordFile?: string; ca?: string; cert?: string; key?: string };
  /** Name of a context in fleet.yaml. */
  context?: string;
  prefix?: string;
  fleet?: string;
}

export interface NotifyRequest extends BrokerRequest {
  commit: string;
  ref?: string;
}

export interface ActRequest
  extends BrokerRequest,
    Pick<ActOptions, 'command' | 'args' | 'hosts' | 'maxParallel' | 'stopAfter' | 'resultMs' | 'signal' | 'told'> {}

export interface FleetRequest extends BrokerRequest {
  /** Names of hosts; left out: those of the index on the broker. */
  hosts?: readonly string[];
  /** Where the broker cannot list the hosts: for how long to listen to those that report. */
  rollCallMs?: number;
}

export interface DashboardRequest {
  /** Websocket URL of the broker for browsers; a missing one comes from elsewhere (agent/fleet/contexts.ts). */
  websocket?: string;
  context?: string;
  prefix?: string;
  fleet?: string;
  hosts?: readonly string[];
  /** The page asks for a user before its first connection. */
  login: boolean;
}

export interface Context {
  deps: CliDeps;
  options: GlobalOptions;
  client: ControlClient;
  terminal: Terminal;
  /** Width of the terminal now. */
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

/** Meaning of each exit code, unless a command documents its own. */
export const EXIT_MEANING: Readonly<Record<number, string>> = {
  [EXIT.ok]: 'well',
  [EXIT.bad]: 'not well, or failed',
  [EXIT.pending]: 'changes are pending or held',
  [EXIT.unreachable]: 'the daemon or the broker cannot be reached',
  [EXIT.unknown]: 'no such resource, run or kept content',
  [EXIT.usage]: 'wrong usage',
  [EXIT.interrupted]: 'interrupted while waiting for a run, which continues',
};
