/** Single facts that survive a restart, each with its type and the cost of its loss. */
import type { AgentState } from '../core/reporting/status.ts';
import type { OsName, ResourceId } from '../core/types.ts';
import type { Meta } from './disk/meta.ts';
import { type Durability, mostUrgent, type Writer } from './disk/writer.ts';

/** The status that is shown after a start, until the first run has ended. */
export type Shown = Pick<
  AgentState,
  'mode' | 'labels' | 'desired' | 'resources' | 'hostStates' | 'gate' | 'reason' | 'message' | 'problems' | 'warnings'
>;

export interface Waited {
  waitedMs: number;
  /** When it was started; milliseconds since 1970. */
  since: number;
  /** It never ran on this host before. */
  isFirst?: true;
}

export interface FactValues {
  /** The host's name, fixed at the first start. */
  host: string;
  os: OsName;
  /** When the agent was last stopped; milliseconds since 1970. */
  leftMs: number;
  /** The last commit under which all was well, and the run that found that. */
  applied: NonNullable<AgentState['applied']>;
  /** Hash of the content of that commit; null if unknown. */
  appliedContent: string | null;
  /** The host's directory in the repository at the last acceptance. */
  acceptedPath: string;
  /** Resources that were changed and have not been well since. */
  unsettled: readonly ResourceId[];
  /** Jobs that the commit on trial ran, or was about to run. */
  trialJobs: readonly ResourceId[];
  /** How long runs have waited for each of these since its last start. */
  patience: Readonly<Record<ResourceId, Waited>>;
  /** Resources that were unwell before the trial began, which does not count against the commit. */
  unwellBeforeTrial: readonly ResourceId[];
  /** Whether there may be leftovers, such as old images. */
  untidy: boolean;
  /** Failed or held actions that were reported already, by keys of the engine. */
  standing: readonly string[];
  /** Checks whose failure was reported. */
  failingChecks: readonly ResourceId[];
  shown: Shown;
  /** Reports that people got, and reports that are due, by destination; written by the notifier. */
  notified: Readonly<Record<string, object>>;
  /** Topics of other programs, such as Home Assistant's, on which the broker retains something about this host. */
  announced: readonly string[];
  /** The end of the last upgrade whose result is in the history, ISO 8601. */
  upgradeTold: string;
}

export type FactName = keyof FactValues;

const DURABILITY: Record<FactName, Durability> = {
  host: 'now',
  os: 'eventually',
  leftMs: 'now',
  applied: 'now',
  appliedContent: 'now',
  acceptedPath: 'now',
  // The intents that follow make it durable before any action. A full disk refuses new intents, so only repairs with an earlier
  // intent go on.
  unsettled: 'eventually',
  // As `unsettled`: the intents make it durable before a job runs.
  trialJobs: 'eventually',
  // If lost, a resource gets a little more patience.
  patience: 'eventually',
  // As `unsettled`.
  unwellBeforeTrial: 'eventually',
  // If lost, old images stay until the next change.
  untidy: 'eventually',
  // If lost, something is reported again.
  standing: 'eventually',
  failingChecks: 'eventually',
  shown: 'eventually',
  // Otherwise a notice about something that is over after a power cut would never be sent.
  notified: 'now',
  // Otherwise the topic would stay for ever.
  announced: 'now',
  // If lost, the result is reported again.
  upgradeTold: 'eventually',
};

/** Facts whose name in the code is not the key in the table `meta`: a key never changes. */
const KEYS: Partial<Record<FactName, string>> = { unwellBeforeTrial: 'unwellBefore' };
const keyOf = (name: string): string => KEYS[name as FactName] ?? name;

export interface Facts {
  get<Name extends FactName>(name: Name): FactValues[Name] | undefined;
  /** One transaction, or a part of the current one; as durable as the most urgent of the values requires. */
  set(values: Partial<FactValues>): void;
}

/** The durability that these facts require together. */
export const durabilityOf = (values: Partial<FactValues>): Durability =>
  mostUrgent((Object.keys(values) as FactName[]).map((name) => DURABILITY[name]));

export function createFacts(meta: Meta, writer: Writer): Facts {
  return {
    get: <Name extends FactName>(name: Name) => meta.get(keyOf(name)) as FactValues[Name] | undefined,
    set(values) {
      writer.write(durabilityOf(values), () => {
        for (const [name, value] of Object.entries(values)) meta.set(keyOf(name), value);
      });
    },
  };
}
