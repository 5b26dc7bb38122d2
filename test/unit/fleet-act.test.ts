/** One command to many hosts: a few at a time, each reported when it ends, and a summary even after an interruption. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ActOptions, act } from '../../agent/fleet/act/act.ts';
import type { HostOutcome } from '../../agent/fleet/act/outcome.ts';
import type { BrokerLink, LinkListener } from '../../agent/fleet/reader/link.ts';
import { createFakeClock } from '../fakes/clock.ts';
import '../property.ts';

type Answer = Record<string, unknown>;
/** A host's answer to a command; absent if it is silent. */
type Host = (command: Answer) => readonly Answer[];

const plain = { command: 'sync', reason: '', message: '', status: null, plan: null, pause: null, pin: null };
const status = (sync: string, health = 'healthy') => ({ sync, health, commit: null, run: null });
const well: Host = () => [{ state: 'accepted' }, { state: 'done', status: status('synced') }];
const unwell: Host = () => [{ state: 'done', status: status('failed') }];
const refuses: Host = () => [{ state: 'refused', reason: 'CommandOff' }];
const silent: Host = () => [];
const stuck: Host = () => [{ state: 'accepted' }];

function fleet(hosts: Record<string, Host>, more: Partial<ActOptions> = {}) {
  const clock = createFakeClock();
  let on: LinkListener | null = null;
  const sent: { topic: string; command: Answer }[] = [];
  const told: HostOutcome[] = [];
  let underWay = 0;
  let most = 0;
  const stopper = new AbortController();
  const say = (topic: string, answer: unknown) =>
    on?.message({
      topic,
      payload: typeof answer === 'string' ? answer : JSON.stringify(answer),
      bytes: 1,
      isRetained: false,
    });
  const link: BrokerLink = {
    ...{ url: 'mqtt://b', version: 5 },
    isOpen: () => true,
    listen(given) {
      on = given;
    },
    subscribe: async () => undefined,
    unsubscribe: () => undefined,
    async publish(topic, payload) {
      const command = JSON.parse(payload) as Answer;
      const host = topic.split('/').at(-2) ?? '';
      sent.push({ topic, command });
      most = Math.max(most, ++underWay);
      if (hosts[host] === undefined) throw new Error('Not authorized');
      for (const answer of hosts[host]?.(command) ?? [])
        clock.after(10, () =>
          say(`p/f/replies/${command.id}`, { schema: 1, id: command.id, host, ...plain, ...answer }),
        );
    },
    close: () => undefined,
  };
  const run = () =>
    act({
      ...{ link, prefix: 'p', fleet: 'f', id: 'x1', command: 'sync', args: {}, hosts: Object.keys(hosts), clock },
      ...{ maxParallel: 20, stopAfter: null, answerMs: 1_000, resultMs: 60_000, signal: stopper.signal },
      told(outcome) {
        if (outcome.outcome !== 'stopped' && outcome.outcome !== 'not-asked') underWay--;
        told.push(outcome);
      },
      ...more,
    });
  const outcomes = async () => Object.fromEntries((await run()).outcomes.map(({ host, outcome }) => [host, outcome]));
  return { run, outcomes, sent, told, say, stopper, clock, lose: () => on?.closed(), most: () => most };
}

describe('hosts of a fleet', () => {
  test('get one command each, under one id, which expires', async () => {
    const { run, sent } = fleet({ a: well, b: well }, { args: { force: true } });
    await run();
    expect(sent.map(({ topic }) => topic)).toEqual(['p/f/hosts/a/commands', 'p/f/hosts/b/commands']);
    expect(sent[0]?.command).toEqual({
      ...{ id: 'x1', command: 'sync', args: { force: true } },
      expires: '2026-03-01T12:05:00.000Z',
    });
  });

  test('have exactly one outcome each, whatever they answer', async () => {
    const { outcomes } = fleet({ a: well, b: unwell, c: refuses, d: silent, e: stuck });
    expect(await outcomes()).toEqual({ a: 'done', b: 'unwell', c: 'refused', d: 'silent', e: 'late' });
  });

  test('that rolled back are well although they are held', async () => {
    const back: Host = () => [{ state: 'done', command: 'rollback', status: status('held') }];
    expect(await fleet({ a: back }, { command: 'rollback' }).outcomes()).toEqual({ a: 'done' });
  });

  test('are commanded at most as many at a time as requested', async () => {
    const hosts = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`h-${i}`, well]));
    const { outcomes, most } = fleet(hosts, { maxParallel: 4 });
    expect(Object.values(await outcomes())).toEqual(Array.from({ length: 30 }, () => 'done'));
    expect(most()).toBe(4);
  });

  test('are not commanded any more after the maximum number of failures', async () => {
    const { outcomes, sent } = fleet(
      { a: unwell, b: well, c: silent, d: well, e: well },
      { maxParallel: 1, stopAfter: 2 },
    );
    expect(await outcomes()).toEqual({ a: 'unwell', b: 'done', c: 'silent', d: 'stopped', e: 'stopped' });
    expect(sent).toHaveLength(3);
  });

  test('that the broker refuses commands for are named', async () => {
    const made = fleet({ a: well }, { hosts: ['a', 'nobody'] });
    const { outcomes } = await made.run();
    expect(outcomes[1]).toMatchObject({ host: 'nobody', outcome: 'unheard', reason: 'PublishRefused' });
    expect(outcomes[1]?.message).toContain('Not authorized');
  });

  const whileAsked = (act: (made: ReturnType<typeof fleet>) => void) => {
    const made: ReturnType<typeof fleet> = fleet(
      {
        a: well,
        b: (command) => {
          act(made);
          return stuck(command);
        },
        c: well,
      },
      { maxParallel: 1 },
    );
    return made;
  };

  test('are sorted at an interruption: done, commanded and not commanded', async () => {
    const { outcomes, lost } = await whileAsked(({ stopper }) => stopper.abort()).run();
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['done', 'open', 'not-asked']);
    expect(lost).toBeNull();
  });

  test('are sorted in the same way when the broker is lost', async () => {
    const { outcomes, lost } = await whileAsked(({ lose }) => lose()).run();
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['done', 'open', 'not-asked']);
    expect(lost).toBe('it closed the connection');
  });

  test('are believed only about themselves, under this id, and in a valid format', async () => {
    const made = fleet({
      a: (command) => {
        const topic = `p/f/replies/${command.id}`;
        const done = { schema: 1, id: command.id, host: 'a', ...plain, state: 'done', status: status('synced') };
        for (const forged of [
          'no JSON',
          'null',
          { ...done, id: 'other' },
          { ...done, host: 'b' },
          { ...done, state: 7 },
        ])
          made.say(topic, forged);
        made.say('p/f/replies/other', done);
        return [];
      },
    });
    expect(await made.outcomes()).toEqual({ a: 'silent' });
  });

  test("cannot send control sequences to the operator's terminal", async () => {
    const made = fleet({ a: () => [{ state: 'failed', reason: 'X', message: 'a\u001b[2Jb' }] });
    await made.run();
    expect(made.told[0]?.message).toBe('a·[2Jb');
  });

  test('have exactly one outcome each, in every mixture', async () => {
    const kinds = [well, unwell, refuses, silent, stuck];
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...kinds), { maxLength: 12 }),
        fc.integer({ min: 1, max: 5 }),
        fc.option(fc.integer({ min: 1, max: 4 })),
        async (behaviours, maxParallel, stopAfter) => {
          const hosts = Object.fromEntries(behaviours.map((one, i) => [`h-${i}`, one]));
          const made = fleet(hosts, { maxParallel, stopAfter });
          const { outcomes } = await made.run();
          expect(outcomes.map(({ host }) => host)).toEqual(Object.keys(hosts));
          expect(made.told.map(({ host }) => host).sort()).toEqual(Object.keys(hosts).sort());
          expect(made.most()).toBeLessThanOrEqual(maxParallel);
        },
      ),
      { numRuns: 40 },
    );
  });
});
