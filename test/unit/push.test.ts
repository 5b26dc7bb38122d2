import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { staleProblem } from '../../agent/core/reporting/stale.ts';
import { createPushGate, type PushGate } from '../../agent/engine/when/push.ts';
import { splayOffset } from '../../agent/engine/when/splay.ts';

const id = (n: number) => n.toString(16).padStart(40, '0');
let gate: PushGate;
let polls: number;
let onServer: string;
let here: string;

/** A host whose polls fetch the current commit of the server. */
function start(offsetMs = 0): void {
  polls = 0;
  here = id(0);
  onServer = id(0);
  gate = createPushGate({
    offsetMs,
    known: (commit) => commit === here,
    async sync() {
      polls++;
      await new Promise((resolve) => setTimeout(resolve, 100));
      here = onServer;
    },
  });
}
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  gate?.stop();
  vi.useRealTimers();
});

test('a push is followed at once, or at the place of this host within the splay', async () => {
  start();
  onServer = id(1);
  gate.notice(`${id(1)}\n`);
  await pass(1);
  expect(polls).toBe(1);
  start(30_000);
  gate.notice(id(1));
  await pass(29_000);
  expect(polls).toBe(0);
  await pass(1_001);
  expect(polls).toBe(1);
});

test('a notice that is known, repeated or no commit id causes nothing', async () => {
  start();
  for (const payload of [id(0), '', 'main', '{"command":"rollback"}', `${id(1)}x`, 'F'.repeat(40)])
    gate.notice(payload);
  await pass(60_000);
  expect(polls).toBe(0);
});

test('a forged notice causes one poll; a flood of them causes few', async () => {
  start();
  for (let again = 0; again < 5; again++) {
    gate.notice(id(7));
    await pass(20_000);
  }
  expect(polls).toBe(1);
  for (let n = 0; n < 600; n++) {
    gate.notice(id(1_000 + n));
    await pass(100);
  }
  // After a minute of forged notices.
  expect(polls).toBeGreaterThan(1);
  expect(polls).toBeLessThanOrEqual(8);
});

test('forged notices have less and less effect: an hour of them causes about a dozen polls, and half an hour without resets that', async () => {
  start();
  for (let n = 0; n < 1_200; n++) {
    gate.notice(id(5_000 + n));
    await pass(3_000);
  }
  expect(polls).toBeGreaterThan(5);
  expect(polls).toBeLessThanOrEqual(20);
  // Meanwhile a real commit is found by every poll.
  await pass(1_900_000);
  const before = polls;
  for (let n = 0; n < 10; n++) {
    gate.notice(id(9_000 + n));
    await pass(3_000);
  }
  expect(polls - before).toBeGreaterThanOrEqual(2);
});

test('a second push during the run of the first is followed after it', async () => {
  start();
  onServer = id(1);
  gate.notice(id(1));
  await pass(50);
  gate.notice(id(2));
  gate.notice(id(3));
  await pass(60);
  onServer = id(3);
  await pass(200);
  expect([polls, here]).toEqual([2, id(3)]);
});

test('hosts spread over the splay, each at its own place', () => {
  const places = Array.from({ length: 500 }, (_, i) => splayOffset(`edge-${i}`, 60_000));
  expect(places).toEqual(Array.from({ length: 500 }, (_, i) => splayOffset(`edge-${i}`, 60_000)));
  for (let part = 0; part < 6; part++)
    expect(places.filter((p) => Math.floor(p / 10_000) === part).length).toBeGreaterThan(40);
  expect(splayOffset('x', 0)).toBe(0);
});

test('a head that has not moved for long is a problem, a pinned one is not', () => {
  const head = { ref: 'main', commit: id(1), author: '', subject: '', committedAt: '2026-01-01T00:00:00.000Z' };
  const day = 86_400_000;
  const at = (date: string, more = {}) => staleProblem({ ...head, ...more }, 30 * day, new Date(date));
  expect(at('2026-01-20')).toEqual([]);
  expect(at('2026-03-01')).toMatchObject([
    { id: 'repository', reason: 'RepositoryStale', message: expect.stringMatching(/is 59 days old/) },
  ]);
  expect(at('2026-03-01', { ref: id(1) })).toEqual([]);
  expect(staleProblem(head, null, new Date('2030-01-01'))).toEqual([]);
  expect(staleProblem(null, day, new Date())).toEqual([]);
});
