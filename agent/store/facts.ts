/** Single facts that outlive a restart, each with its type and with what its loss would cost. */
import type { AgentState } from '../core/status.ts';
import type { OsName, ResourceId } from '../core/types.ts';
import type { Meta } from './meta.ts';
import { type Durability, mostUrgent, type Writer } from './writer.ts';

/** What is shown of the host until the first run after a start has ended. */
export type Shown = Pick<
  AgentState,
  'mode' | 'labels' | 'desired' | 'resources' | 'hostStates' | 'gate' | 'reason' | 'message' | 'problems' | 'warnings'
>;

export interface Waited {
  waitedMs: number;
  /** When it was started; milliseconds since 1970. */
  since: number;
  /** It never ran here before. */
  isFirst?: true;
}

export interface FactValues {
  /** The host's name, frozen at the first start. */
  host: string;
  os: OsName;
  /** When the agent was stopped last; milliseconds since 1970. */
  leftMs: number;
  /** The commit under which all was well last, and the run that found it so. */
  applied: NonNullable<AgentState['applied']>;
  /** Hash of what that commit rendered to; null where it is not known. */
  appliedContent: string | null;
  /** The host's directory in the repository, as of the last commit that was accepted from one. */
  acceptedPath: string;
  /** What was changed, and not seen well since. */
  unsettled: readonly ResourceId[];
  /** Jobs that the commit on trial ran, or was about to run. */
  trialJobs: readonly ResourceId[];
  /** How long each of these was waited for since its last start, over several runs. */
  patience: Readonly<Record<ResourceId, Waited>>;
  /** What was unwell before the commit on trial began: nobody holds that against the commit. */
  unwellBefore: readonly ResourceId[];
  /** Something may have been left that only went before, such as old images. */
  untidy: boolean;
  /** Actions that could not be done, or are held, and were told: as keys made by the engine. */
  standing: readonly string[];
  /** Checks of which it was told that they fail. */
  failingChecks: readonly ResourceId[];
  shown: Shown;
  /** The order of another version of the agent of which history has what became of it: when it ended, ISO 8601. */
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
  // The intents, which follow before any of it begins, make it durable. A full disk refuses them, and lets only those
  // repairs go on that were intended before.
  unsettled: 'eventually',
  // As `unsettled`: the intents make it durable before a job runs.
  trialJobs: 'eventually',
  // Something that is waited for a little longer than it should be.
  patience: 'eventually',
  // As `unsettled`.
  unwellBefore: 'eventually',
  // Old images that stay until the next change.
  untidy: 'eventually',
  // Something is told once more.
  standing: 'eventually',
  failingChecks: 'eventually',
  shown: 'eventually',
  // It is told once more.
  upgradeTold: 'eventually',
};

export interface Facts {
  get<Name extends FactName>(name: Name): FactValues[Name] | undefined;
  /** One transaction, or a part of the one under way; durable as soon as the most urgent of them must be. */
  set(values: Partial<FactValues>): void;
}

/** How soon these must be durable together. */
export const durabilityOf = (values: Partial<FactValues>): Durability =>
  mostUrgent((Object.keys(values) as FactName[]).map((name) => DURABILITY[name]));

export function createFacts(meta: Meta, writer: Writer): Facts {
  return {
    get: <Name extends FactName>(name: Name) => meta.get(name) as FactValues[Name] | undefined,
    set(values) {
      writer.write(durabilityOf(values), () => {
        for (const [name, value] of Object.entries(values)) meta.set(name, value);
      });
    },
  };
}
