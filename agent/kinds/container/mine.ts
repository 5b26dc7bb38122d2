/**
 * Decides which container belongs to a service: it runs, has the expected name, and is recorded. Labels alone are no proof: an
 * interrupted recreate leaves a second container with the same labels, and anybody can copy them. Pure.
 */
import { HASH, NUMBER, PROJECT, SERVICE } from '../docker/labels.ts';

/** Data about a container that both the list of containers and an inspection provide. */
export interface Candidate {
  id: string;
  name: string;
  /** `running`, `created`, `exited`, … as Docker reports it. */
  status: string;
  labels: Readonly<Record<string, string>>;
}

export interface Known {
  /** The expected name of the container with this number; without a declaration, the name that Compose would give it. */
  nameOf?(number: number): string;
  /** Whether it belonged to the service at the last observation. */
  isRecorded?(id: string): boolean;
  /** The service was created or adopted here, so an unrecorded container belongs to somebody else. */
  isOwned?: boolean;
}

const ALIVE = ['running', 'restarting', 'paused'];

/** The name that `docker compose` gives to a replacement of NAME: `<id of the old one>_NAME`. */
const IN_PLACE_OF = /^[0-9a-f]{8,64}_(.+)$/;
/** The label in which Compose stores the container to be replaced. */
const REPLACES = 'com.docker.compose.replace';

export const numberOf = ({ labels }: Pick<Candidate, 'labels'>): number => Number(labels[NUMBER]) || 1;

/** Default names of a container in Compose v2 and v1. */
function usualNames({ labels }: Candidate, number: number): string[] {
  const [project = '', service = ''] = [labels[PROJECT], labels[SERVICE]];
  return [`${project}-${service}-${number}`, `${project}_${service}_${number}`];
}

/**
 * One container for each number, and the strays: containers with the service's labels that do not belong to it.
 * @param of returns the data of one container
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

/** A service that is already managed accepts only recorded containers, or replacements of recorded ones. */
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

/** Whether it is a replacement that was never started: `docker compose` is working on it, or was interrupted. */
export const isReplacement = ({ name, status, labels }: Candidate): boolean =>
  status === 'created' && labels[HASH] === undefined && (IN_PLACE_OF.test(name) || labels[REPLACES] !== undefined);

/** Whether somebody else created it and has not started it yet. */
export const isBegun = ({ status, labels }: Candidate): boolean => status === 'created' && labels[HASH] === undefined;
