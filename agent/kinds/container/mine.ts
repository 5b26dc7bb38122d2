/**
 * Which container is a service's own: the one that runs, is named as it should be, and is known. Labels alone are no proof:
 * an interrupted recreate leaves a second container with all of them, and anybody can copy them. Pure.
 */
import { HASH, NUMBER, PROJECT, SERVICE } from '../docker/labels.ts';

/** What the list of containers and an inspection both say of one. */
export interface Candidate {
  id: string;
  name: string;
  /** `running`, `created`, `exited`, … as the engine has it. */
  status: string;
  labels: Readonly<Record<string, string>>;
}

export interface Known {
  /** The name that the container of this number is to have; without a declaration, what Compose would give it. */
  nameOf?(number: number): string;
  /** It was the service's own the last time. */
  isRecorded?(id: string): boolean;
  /** The service was created or adopted here: what is not known as its own is somebody else's. */
  isOwned?: boolean;
}

const ALIVE = ['running', 'restarting', 'paused'];

/** What `docker compose` calls the one that is to take the place of NAME: `<id of that one>_NAME`. */
const IN_PLACE_OF = /^[0-9a-f]{8,64}_(.+)$/;
/** Compose writes here whose place a container is to take. */
const REPLACES = 'com.docker.compose.replace';

export const numberOf = ({ labels }: Pick<Candidate, 'labels'>): number => Number(labels[NUMBER]) || 1;

/** Names by which Compose, in its second and its first version, knows a container without a name of its own. */
function usualNames({ labels }: Candidate, number: number): string[] {
  const [project = '', service = ''] = [labels[PROJECT], labels[SERVICE]];
  return [`${project}-${service}-${number}`, `${project}_${service}_${number}`];
}

/**
 * One container for each number, and those that are none of the service's although they have its labels.
 * @param of what is known of one
 */
export function ownOf<T>(all: readonly T[], of: (one: T) => Candidate, known: Known = {}): { mine: T[]; strays: T[] } {
  const mine: T[] = [];
  const strays: T[] = [];
  for (const [number, group] of Map.groupBy(all, (one) => numberOf(of(one)))) {
    const ranked = group
      .map((one) => ({ one, rank: rankOf(of(one), number, known) }))
      .sort((a, b) => (a.rank < b.rank ? 1 : a.rank > b.rank ? -1 : 0));
    for (const [i, { one }] of ranked.entries())
      (i === 0 && mayBeOwn(of(one), number, known) ? mine : strays).push(one);
  }
  return { mine, strays };
}

/** What a service that is managed already never had is none of its own, but for what takes the place of one that it had. */
const mayBeOwn = (candidate: Candidate, number: number, known: Known): boolean =>
  !known.isOwned || isPlausible(candidate, number, known) || isReplacement(candidate);

const isOurs = ({ id, labels }: Candidate, { isRecorded }: Known): boolean =>
  labels[HASH] !== undefined || isRecorded?.(id) === true;

const isPlausible = (candidate: Candidate, number: number, known: Known): boolean =>
  isOurs(candidate, known) || [...usualNames(candidate, number), known.nameOf?.(number)].includes(candidate.name);

/** Higher is better, compared as text. */
function rankOf(candidate: Candidate, number: number, known: Known): string {
  const { name, status } = candidate;
  const names = known.nameOf ? [known.nameOf(number)] : usualNames(candidate, number);
  return [
    isPlausible(candidate, number, known),
    ALIVE.includes(status),
    isOurs(candidate, known),
    names.includes(name),
    status !== 'created',
  ]
    .map((yes) => (yes ? '1' : '0'))
    .join('');
}

/** It is to take another one's place, and was never started: `docker compose` is at work, or was cut off. */
export const isReplacement = ({ name, status, labels }: Candidate): boolean =>
  status === 'created' && labels[HASH] === undefined && (IN_PLACE_OF.test(name) || labels[REPLACES] !== undefined);

/** Somebody else made it, and has not started it yet. */
export const isBegun = ({ status, labels }: Candidate): boolean => status === 'created' && labels[HASH] === undefined;
