/** Which passes a run has, and what follows each of them: the decisions of the engine, without an engine. */
import { describe, expect, test } from 'vitest';
import { REPAIR, ROLLBACK, STAY, TRY } from '../../agent/engine/decide/mode.ts';
import {
  type CommitPass,
  conclude,
  concludeRollback,
  decide,
  type Pass,
  type Situation,
} from '../../agent/engine/decide/passes.ts';
import type { Outcome } from '../../agent/engine/types.ts';
import type { PendingRollback, Remembered } from '../../agent/store/commits.ts';

const MEMORY: Remembered = {
  accepted: 'good',
  acceptedFrom: null,
  acceptedUnder: null,
  trial: null,
  trialEndpoints: null,
  pendingRollback: null,
  keeps: null,
  postponed: null,
  lastGood: 'good',
  lastGoodContent: 'content of good',
  previousGood: null,
  goodSince: null,
  pin: null,
  pause: null,
  resourcePauses: null,
};
const SITUATION: Situation = {
  head: 'new',
  content: 'content of new',
  choice: { act: 'try' },
  stay: null,
  rollback: 'auto',
  gate: null,
  memory: MEMORY,
};
const OUTCOME: Outcome = {
  rejected: false,
  commit: null,
  mode: 'enforce',
  labels: null,
  gate: null,
  verdict: 'well',
  converged: null,
  actions: [],
  resources: [],
  problems: [],
  warnings: [],
  hostStates: [],
  reason: '',
  message: '',
};
const PAUSE = { kind: 'pause', reason: 'paused', until: null } as const;
const WINDOW = { kind: 'window', reason: 'closed', until: null } as const;
const PRUNE = { kind: 'prune', reason: 'too many', until: null } as const;
const STAYING = {
  act: 'stay',
  on: 'good',
  sync: 'held',
  gate: null,
  reason: 'Pinned',
  message: '',
  problem: null,
} as const;
const BACK: PendingRollback = { from: 'new', content: 'content of new', to: 'good', endpoints: ['broker'] };

const roles = (passes: readonly Pass[]) =>
  passes.map((p) => (p.role === 'reconnect' ? 'reconnect' : `${p.role} ${p.on}`));

describe('a run begins', () => {
  test.each<[string, Partial<Situation>, string[]]>([
    ['with a trial of a new head', {}, ['try new']],
    ['with a repair of the accepted commit', { choice: { act: 'repair' }, head: 'good' }, ['repair good']],
    ['with an observation only, while it is paused', { gate: PAUSE }, ['look new']],
    ['with a repair of the accepted commit while the head waits', { gate: WINDOW }, ['keep good', 'look new']],
    [
      'with an observation only, while the first commit waits',
      { gate: WINDOW, memory: { ...MEMORY, accepted: null } },
      ['look new'],
    ],
    ['with the commit that the host stays on', { choice: STAYING }, ['stay good']],
  ])('%s', (_what, given, expected) => {
    expect(roles(decide({ ...SITUATION, ...given }))).toEqual(expected);
  });

  test.each<[string, Partial<Situation>, Remembered['pendingRollback'], unknown]>([
    ['staying on a commit yields', { choice: STAYING }, null, STAY],
    ['a rollback to it does not yield', { choice: STAYING }, BACK, ROLLBACK],
    ['a repair yields', { choice: { act: 'repair' }, head: 'good' }, null, REPAIR],
    ['a rollback to the accepted commit does not yield', { choice: { act: 'repair' }, head: 'good' }, BACK, ROLLBACK],
    ['a new commit yields, whatever rollback was in progress', {}, BACK, TRY],
  ])('and later runs: %s', (_what, given, pendingRollback, mode) => {
    const [first] = decide({ ...SITUATION, ...given, memory: { ...MEMORY, pendingRollback } });
    expect((first as CommitPass).mode).toBe(mode);
  });
});

describe('after a pass', () => {
  const following = (
    role: CommitPass['role'],
    on: string,
    outcome: Partial<Outcome>,
    memory: Partial<Remembered> = {},
    situation: Partial<Situation> = {},
  ) =>
    conclude(
      { role, on, mode: TRY, gate: null },
      { ...OUTCOME, ...outcome },
      {
        situation: { ...SITUATION, ...situation },
        memory: { ...MEMORY, ...memory },
        lost: ['broker'],
        isSilence: false,
      },
    );

  test.each([
    [
      'a commit that settled is accepted and good',
      following('try', 'new', {}),
      { type: 'accept', commit: 'new', good: true },
      [],
    ],
    ['an undecided commit is left to the next run', following('try', 'new', { verdict: 'open' }), null, []],
    [
      'a commit that did not settle is rolled back',
      following('try', 'new', { verdict: 'unwell' }),
      { type: 'roll back', pendingRollback: BACK, isSilence: false },
      ['rollback good'],
    ],
    [
      'a commit is not rolled back if its host forbids it',
      following('try', 'new', { verdict: 'unwell' }, {}, { rollback: 'off' }),
      { type: 'accept', commit: 'new', good: false },
      [],
    ],
    [
      'a commit is not rolled back if there is no earlier one',
      following('try', 'new', { verdict: 'unwell' }, { lastGood: null }),
      { type: 'accept', commit: 'new', good: false },
      [],
    ],
    [
      'a commit is not rolled back if the earlier one is the same',
      following('try', 'new', { verdict: 'unwell' }, { lastGoodContent: 'content of new' }),
      { type: 'accept', commit: 'new', good: false },
      [],
    ],
    ['a failed repair causes no rollback', following('repair', 'good', { verdict: 'unwell' }), null, []],
    [
      'after a refused commit the accepted one is repaired',
      following('try', 'new', { rejected: true, verdict: 'untouched' }),
      null,
      ['keep good'],
    ],
    [
      'a commit that would remove too much waits',
      following('try', 'new', { gate: PRUNE, verdict: 'untouched' }),
      null,
      ['keep good', 'look new'],
    ],
    ['an observation has no consequence', following('look', 'new', { verdict: 'untouched' }), null, []],
    ['keeping the accepted commit has no consequence', following('keep', 'good', { verdict: 'unwell' }), null, []],
    [
      'a rollback ends with the question of the cause',
      following('rollback', 'good', {}, { pendingRollback: BACK }),
      { type: 'accept', commit: 'good', good: false },
      ['reconnect'],
    ],
    [
      'an interrupted rollback does not ask for the cause yet',
      following('rollback', 'good', { verdict: 'open' }, { pendingRollback: BACK }),
      null,
      [],
    ],
    [
      'a rollback that did not help proves that the commit was not the cause',
      following('rollback', 'good', { verdict: 'unwell' }, { pendingRollback: BACK }),
      { type: 'rollback ended', content: BACK.content, isRetried: true, failed: true },
      [],
    ],
    [
      'a rollback that a later run ends is judged as well',
      following('repair', 'good', {}, { pendingRollback: BACK }),
      { type: 'accept', commit: 'good', good: true },
      ['reconnect'],
    ],
  ])('%s', (_what, { note, next }, expectedNote, expectedNext) => {
    expect(note).toEqual(expectedNote);
    expect(roles(next)).toEqual(expectedNext);
  });

  test('a rollback to a commit that cannot be read ends', () => {
    const given = { situation: SITUATION, memory: { ...MEMORY, pendingRollback: BACK }, lost: [], isSilence: false };
    expect(conclude({ role: 'rollback', on: 'good', mode: ROLLBACK, gate: null }, null, given)).toEqual({
      note: { type: 'rollback ended', content: BACK.content, isRetried: false },
      next: [],
    });
  });
});

test.each<[string, string, boolean, boolean, string[]]>([
  ['restores connectivity: the commit was at fault', 'new', false, false, []],
  ['does not restore connectivity: the commit was not the cause, and is tried again', 'new', true, true, ['again new']],
  ['does not restore connectivity, and the head is unavailable: the commit is only forgiven', 'good', true, true, []],
])('rolling everything back %s', (_what, head, isLost, isRetried, next) => {
  const conclusion = concludeRollback(BACK, head, { isLost });
  expect(conclusion.note).toEqual({ type: 'rollback ended', content: BACK.content, isRetried });
  expect(roles(conclusion.next)).toEqual(next);
});
