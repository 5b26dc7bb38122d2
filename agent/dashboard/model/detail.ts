/** The data of the page for one host: status, resources, history and events in bounded form. Pure. */
import type { GateOfHost } from '../../fleet/reader/gate.ts';
import { numberIn, objectIn, objectsIn, type Plain, parseObject, textIn, timeIn } from './plain.ts';
import { MAX } from './row.ts';

export interface Detail {
  readonly ref: string;
  readonly signer: string;
  readonly mode: string;
  readonly pin: string;
  readonly gate: GateOfHost | null;
  readonly lastGood: string;
  readonly bad: readonly { readonly commit: string; readonly reason: string }[];
  readonly run: Run | null;
  readonly counts: {
    readonly total: number;
    readonly outOfSync: number;
    readonly failed: number;
    readonly held: number;
  };
  readonly problems: readonly Problem[];
  readonly warnings: readonly { readonly place: string; readonly message: string }[];
  readonly waiting: readonly { readonly id: string; readonly since: number | null; readonly until: number | null }[];
  readonly paused: readonly { readonly id: string; readonly until: number | null; readonly reason: string }[];
  /** Over the broker, those that this host follows. */
  readonly commands: readonly string[];
  readonly facts: readonly (readonly [name: string, value: string])[];
}

export interface Run {
  readonly id: number;
  readonly trigger: string;
  readonly startedAt: number | null;
  readonly durationMs: number;
  readonly changed: number;
  readonly failed: number;
  readonly repaired: number;
}

export interface Problem {
  readonly id: string;
  readonly reason: string;
  readonly message: string;
  readonly turn: string;
  readonly since: number | null;
  readonly until: number | null;
  /** File and line of the declaration; empty if there is none. */
  readonly place: string;
}

const MAX_LIST = 20;

/** @returns null for a status that cannot be read */
export function detailOf(payload: string): Detail | null {
  const s = parseObject(payload);
  if (s === null || s.schema !== 1) return null;
  const desired = objectIn(s.desired);
  const resources = objectIn(s.resources);
  const agent = objectIn(s.agent);
  const facts = objectIn(s.facts);
  const gate = s.gate === null ? null : objectIn(s.gate);
  const addresses = Array.isArray(facts.addresses) ? facts.addresses.slice(0, MAX_LIST) : [];
  const word = (value: unknown) => textIn(value, MAX.subject);
  return {
    ref: word(desired.ref),
    signer: word(desired.signer),
    mode: word(s.mode),
    pin: word(s.pin),
    gate: gate && { kind: word(gate.kind), reason: textIn(gate.reason, MAX.message), until: timeIn(gate.until) },
    lastGood: word(objectIn(s.lastGood).commit),
    bad: objectsIn(s.bad, MAX_LIST).map((bad) => ({ commit: word(bad.commit), reason: word(bad.reason) })),
    run: s.run === null || s.run === undefined ? null : runIn(objectIn(s.run)),
    counts: {
      total: numberIn(resources.total) ?? 0,
      outOfSync: numberIn(resources.outOfSync) ?? 0,
      failed: numberIn(resources.failed) ?? 0,
      held: numberIn(resources.held) ?? 0,
    },
    problems: objectsIn(s.problems, MAX_LIST).map(problemIn),
    warnings: objectsIn(s.warnings, MAX_LIST).map((warning) => ({
      place: placeIn(warning),
      message: textIn(warning.message, MAX.message),
    })),
    waiting: objectsIn(s.waiting, MAX_LIST).map((one) => ({
      id: textIn(one.id, MAX.id),
      since: timeIn(one.since),
      until: timeIn(one.until),
    })),
    paused: objectsIn(s.paused, MAX_LIST).map((one) => ({
      id: textIn(one.id, MAX.id),
      until: timeIn(one.until),
      reason: textIn(one.reason, MAX.message),
    })),
    commands: Array.isArray(s.commands) ? s.commands.slice(0, MAX_LIST).map(word) : [],
    facts: [
      ['System', word(facts.os)],
      ['Architecture', word(facts.arch)],
      ['Kernel', word(facts.kernel)],
      ['Addresses', addresses.map(word).filter(Boolean).join(', ')],
      ['Agent', word(agent.version)],
    ],
  };
}

const runIn = (run: Plain): Run => ({
  id: numberIn(run.id) ?? 0,
  trigger: textIn(run.trigger, MAX.word),
  startedAt: timeIn(run.startedAt),
  durationMs: numberIn(run.durationMs) ?? 0,
  changed: numberIn(run.changed) ?? 0,
  failed: numberIn(run.failed) ?? 0,
  repaired: numberIn(run.repaired) ?? 0,
});

const problemIn = (problem: Plain): Problem => ({
  id: textIn(problem.id, MAX.id),
  reason: textIn(problem.reason, MAX.word),
  message: textIn(problem.message, MAX.message),
  turn: textIn(problem.turn, MAX.word),
  since: timeIn(problem.since),
  until: timeIn(problem.until),
  place: placeIn(problem),
});

function placeIn({ file, line }: Plain): string {
  const name = textIn(file, MAX.id);
  return name === '' ? '' : `${name}:${numberIn(line) ?? 1}`;
}

export interface Resource {
  readonly id: string;
  readonly sync: string;
  readonly health: string;
  readonly reason: string;
}

/** More than that a host hardly has; the page says how many were left out. */
const MAX_RESOURCES = 5_000;

/** Unhealthy resources first, then by id; null if the document cannot be read. */
export function resourcesOf(payload: string): Resource[] | null {
  const document = parseObject(payload);
  if (document === null || document.schema !== 1) return null;
  const isWell = ({ sync, health }: Resource) => sync === 'synced' && (health === 'healthy' || health === 'unknown');
  return objectsIn(document.resources, MAX_RESOURCES)
    .map((resource) => ({
      id: textIn(resource.id, MAX.id),
      sync: textIn(resource.sync, MAX.word),
      health: textIn(resource.health, MAX.word),
      reason: textIn(resource.reason, MAX.word),
    }))
    .sort((a, b) => Number(isWell(a)) - Number(isWell(b)) || (a.id < b.id ? -1 : 1));
}
