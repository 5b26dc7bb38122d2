/** Options of a session: one version of agent.yaml, and objects that the process keeps between versions. */
import type { StatusDocument } from '../../../manifests-schema/payloads.ts';
import type { AgentConfig } from '../../config.ts';
import type { Identity } from '../../core/reporting/status.ts';
import type { Problem } from '../../core/types.ts';
import type { Log } from '../../log.ts';
import type { Tally } from '../../metrics/tally.ts';
import type { Identity as HostIdentity } from '../../secrets/identity.ts';
import type { Redactor } from '../../secrets/redact.ts';
import type { Store } from '../../store/db.ts';
import type { LocalVars } from '../local-vars.ts';

export interface SessionOptions {
  config: AgentConfig;
  /** Path of agent.yaml, which no manifest can manage. */
  configFile: string;
  /** systemd runs this process as a service, and would run another version of it. */
  supervised?: boolean;
  /** The host leaves: manage nothing any more, whatever the repository declares. */
  leaving?: boolean;
  identity: Identity;
  localVars: LocalVars;
  facts: StatusDocument['facts'];
  /** '' for this machine, or the directory that stands for `/`. */
  root: string;
  stateDir: string;
  store: Store;
  secrets: HostIdentity;
  keyedHash(bytes: Uint8Array): string;
  redactor: Redactor;
  log: Log;
  tally: Tally;
  /** Problems in addition to those of runs, such as those of the broker. */
  problems(): readonly Problem[];
  /** Status, resources or events have changed. */
  changed(): void;
  /** The database was damaged while in use; only a restart can repair that. */
  damaged(): void;
  /** The loop has turned. */
  turned(): void;
}
