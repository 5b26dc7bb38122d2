/** Commands of the page: the messages to a host, and the meaning of its answers. */
import { describe, expect, test } from 'vitest';
import { answered, commandText, complaintOf, type Order, type Wish } from '../../../agent/dashboard/model/orders.ts';
import { type CommandResult, commandDocument } from '../../../manifests-schema/commands.ts';
import { NOW } from './rows.ts';

const wish = (change: Partial<Wish> = {}): Wish => ({
  ...{ command: 'sync', reason: '', isForced: false, time: '', commit: '' },
  ...change,
});
const order: Order = { id: '77', host: 'oslo-1', command: 'sync', state: 'sent', text: '', plan: [] };
const answer = (change: Partial<CommandResult> = {}): string =>
  JSON.stringify({
    ...{ schema: 1, id: '77', host: 'oslo-1', fleet: 'f', at: new Date(NOW).toISOString(), command: 'sync' },
    ...{ state: 'done', reason: '', message: '', status: null, plan: null, pause: null, pin: null },
    ...change,
  } satisfies CommandResult);

describe('the messages', () => {
  test.each<[string, Wish, object]>([
    ['a sync', wish(), {}],
    ['a forced sync with its reason', wish({ isForced: true, reason: 'try' }), { force: true, reason: 'try' }],
    ['a pause with its time', wish({ command: 'pause', time: '2h', isForced: true }), { for: '2h' }],
    ['a rollback to a commit', wish({ command: 'rollback', commit: '0f9e' }), { commit: '0f9e' }],
    ['a resume', wish({ command: 'resume', time: '2h' }), {}],
  ])('%s is a command that hosts support', (_name, one, args) => {
    expect(commandDocument.parse(JSON.parse(commandText(one, '77', NOW)))).toMatchObject({ id: '77', args });
    expect(complaintOf(one)).toBe('');
  });

  test.each([
    ['a time without its unit', wish({ command: 'pause', time: '2' })],
    ['an invalid commit', wish({ command: 'rollback', commit: 'main' })],
    ['a long reason', wish({ reason: 'x'.repeat(201) })],
  ])('%s is reported as an error', (_name, one) => {
    expect(complaintOf(one)).not.toBe('');
  });
});

describe('an answer', () => {
  test('reports the state of the host after it', () => {
    const status = {
      sync: 'synced' as const,
      health: 'healthy' as const,
      commit: 'a'.repeat(40),
      run: { id: 1, changed: 2, failed: 0, repaired: 1, durationMs: 5 },
      problems: [],
      problemsTotal: 0,
    };
    expect(answered(order, answer({ status }))).toMatchObject({
      state: 'done',
      text: 'The host is synced, healthy on aaaaaaa: 2 changed, 0 failed, 1 repaired.',
    });
  });

  test('that refuses has a reason', () => {
    const refused = answer({ state: 'refused', reason: 'CommandExpired', message: 'it came too late' });
    expect(answered(order, refused)).toMatchObject({ state: 'refused', text: 'it came too late (CommandExpired)' });
  });

  test('to a plan lists the planned changes', () => {
    const plan = {
      ...{ commit: null, held: null, error: null, issues: [], issuesTotal: 0, counts: { update: 2 }, actionsTotal: 2 },
      actions: [{ id: 'file:/etc/motd', op: 'update', why: ['content'] }],
    };
    expect(answered(order, answer({ plan })).plan).toEqual(['update file:/etc/motd: content', 'and 1 more action']);
  });

  test.each([
    ['of another host', answer({ host: 'oslo-2' })],
    ['to another command', answer({ id: '78' })],
    ['with an unknown state', answer({ state: 'pondering' as never })],
    ['in an invalid format', 'x'],
  ])('%s changes nothing', (_name, payload) => {
    expect(answered(order, payload)).toBe(order);
  });

  test('after the final one changes nothing', () => {
    const done: Order = { ...order, state: 'done' };
    expect(answered(done, answer({ state: 'failed' }))).toBe(done);
  });

  test('that is late is shown', () => {
    expect(answered({ ...order, state: 'silent' }, answer()).state).toBe('done');
  });
});
