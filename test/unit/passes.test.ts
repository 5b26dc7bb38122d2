/** Which passes a run has, and what follows from each: the decisions of the engine, without an engine. */
import { describe, expect, test } from 'vitest';
import { REPAIR, STAY, TRY, WAY_BACK } from '../../agent/engine/decide/mode.ts';
import {
  type CommitPass,
  conclude,
  concludeWayBack,
  decide,
  type Pass,
  type Situation,
} from '../../agent/engine/decide/passes.ts';
import type { Outcome } from '../../agent/engine/types.ts';
import type { Remembered, WayBack } from '../../agent/store/commits.ts';

const MEMORY: Remembered = {
  accepted: 'good',
  acceptedFrom: null,
  acceptedUnder: null,
  trial: null,
  trialEndpoints: null,
  wayBack: null,
  keeps: null,
  silenced: null,
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
const BACK: WayBack = { from: 'new', content: 'content of new', to: 'good', endpoints: ['broker'] };

const roles = (passes: readonly Pass[]) =>
  passes.map((p) => (p.role === 'reconnect' ? 'reconnect' : `${p.role} ${p.on}`));

describe('a run begins', () => {
  test.each<[string, Partial<Situation>, string[]]>([
    ['with a try of a new head', {}, ['try new']],
    ['with a repair of the accepted one', { choice: { act: 'repair' }, head: 'good' }, ['repair good']],
    ['with a look alone while it is paused', { gate: PAUSE }, ['look new']],
    ['with a repair of what is accepted while the head waits', { gate: WINDOW }, ['keep good', 'look new']],
    [
      'with a look alone while the first commit waits',
      { gate: WINDOW, memory: { ...MEMORY, accepted: null } },
      ['look new'],
    ],
    ['with the commit that the host stays on', { choice: STAYING }, ['stay good']],
  ])('%s', (_what, given, expected) => {
    expect(roles(decide({ ...SITUATION, ...given }))).toEqual(expected);
  });

  test.each<[string, Partial<Situation>, Remembered['wayBack'], unknown]>([
    ['staying on a commit gives way', { choice: STAYING }, null, STAY],
    ['a way back to it does not', { choice: STAYING }, BACK, WAY_BACK],
    ['a repair gives way', { choice: { act: 'repair' }, head: 'good' }, null, REPAIR],
    ['a way back to the accepted commit does not', { choice: { act: 'repair' }, head: 'good' }, BACK, WAY_BACK],
    ['a new commit gives way, whatever was on its way back', {}, BACK, TRY],
  ])('and to another run: %s', (_what, given, wayBack, mode) => {
    const [first] = decide({ ...SITUATION, ...given, memory: { ...MEMORY, wayBack } });
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
      'a commit that proved itself is accepted and good',
      following('try', 'new', {}),
      { type: 'accept', commit: 'new', good: true },
      [],
    ],
    ['one that is open is the next run’s', following('try', 'new', { verdict: 'open' }), null, []],
    [
      'one that did not settle is taken back',
      following('try', 'new', { verdict: 'unwell' }),
      { type: 'take back', wayBack: BACK, isSilence: false },
      ['back good'],
    ],
    [
      'unless its host says not to',
      following('try', 'new', { verdict: 'unwell' }, {}, { rollback: 'off' }),
      { type: 'accept', commit: 'new', good: false },
      [],
    ],
    [
      'or there is nothing to go back to',
      following('try', 'new', { verdict: 'unwell' }, { lastGood: null }),
      { type: 'accept', commit: 'new', good: false },
      [],
    ],
    [
      'or what is there is the same',
      following('try', 'new', { verdict: 'unwell' }, { lastGoodContent: 'content of new' }),
      { type: 'accept', commit: 'new', good: false },
      [],
    ],
    ['a repair that fails takes nothing back', following('repair', 'good', { verdict: 'unwell' }), null, []],
    [
      'a refused commit leaves what is accepted in repair',
      following('try', 'new', { rejected: true, verdict: 'untouched' }),
      null,
      ['keep good'],
    ],
    [
      'one that would remove too much waits',
      following('try', 'new', { gate: PRUNE, verdict: 'untouched' }),
      null,
      ['keep good', 'look new'],
    ],
    ['a look has no consequence', following('look', 'new', { verdict: 'untouched' }), null, []],
    ['nor has keeping what is accepted', following('keep', 'good', { verdict: 'unwell' }), null, []],
    [
      'going back ends with the question who was at fault',
      following('back', 'good', {}, { wayBack: BACK }),
      { type: 'accept', commit: 'good', good: false },
      ['reconnect'],
    ],
    [
      'going back that is cut short asks nobody yet',
      following('back', 'good', { verdict: 'open' }, { wayBack: BACK }),
      null,
      [],
    ],
    [
      'going back that did not help shows that the commit was innocent',
      following('back', 'good', { verdict: 'unwell' }, { wayBack: BACK }),
      { type: 'way back ended', content: BACK.content, innocent: true, failed: true },
      [],
    ],
    [
      'a way back that a later run ends is judged as well',
      following('repair', 'good', {}, { wayBack: BACK }),
      { type: 'accept', commit: 'good', good: true },
      ['reconnect'],
    ],
  ])('%s', (_what, { note, next }, expectedNote, expectedNext) => {
    expect(note).toEqual(expectedNote);
    expect(roles(next)).toEqual(expectedNext);
  });

  test('a commit that is taken back and cannot be read is no way back', () => {
    const given = { situation: SITUATION, memory: { ...MEMORY, wayBack: BACK }, lost: [], isSilence: false };
    expect(conclude({ role: 'back', on: 'good', mode: WAY_BACK, gate: null }, null, given)).toEqual({
      note: { type: 'way back ended', content: BACK.content, innocent: false },
      next: [],
    });
  });
});

test.each<[string, string, boolean, boolean, string[]]>([
  ['opens the way: the commit was at fault', 'new', false, false, []],
  ['does not: it was innocent, and comes again', 'new', true, true, ['again new']],
  ['does not, and the head is not at hand: it is only forgiven', 'good', true, true, []],
])('taking everything back %s', (_what, head, isLost, innocent, next) => {
  const conclusion = concludeWayBack(BACK, head, { isLost });
  expect(conclusion.note).toEqual({ type: 'way back ended', content: BACK.content, innocent });
  expect(roles(conclusion.next)).toEqual(next);
});
