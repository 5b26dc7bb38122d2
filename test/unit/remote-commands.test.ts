/**
 * Commands over the broker: a repeated command is carried out once, in any order and over any crash, and only listed commands
 * are.
 */
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hold } from '../../agent/control/holds.ts';
import type { HoldVerb } from '../../agent/control/protocol.ts';
import { createRemote, type Remote, type RemoteOptions } from '../../agent/control/remote/remote.ts';
import type { ReceivedCommand, ReplyTo } from '../../agent/core/channel.ts';
import type { Pause } from '../../agent/core/plan/target.ts';
import type { SyncLine } from '../../agent/core/progress.ts';
import { readCommand } from '../../agent/core/reporting/command.ts';
import type { EngineDeps } from '../../agent/engine/types.ts';
import { AgentError } from '../../agent/errors.ts';
import { silentLog } from '../../agent/log.ts';
import { createCommandSubscription, replyTo } from '../../agent/report/mqtt/commands.ts';
import { type Commands, createCommands } from '../../agent/store/commands.ts';
import type { Remembered } from '../../agent/store/commits.ts';
import { createMeta } from '../../agent/store/disk/meta.ts';
import { createWriter } from '../../agent/store/disk/writer.ts';
import { MIGRATIONS } from '../../agent/store/schema/migrations.ts';
import { COMMANDS } from '../../manifests-schema/command-names.ts';
import { type CommandResult, commandResult } from '../../manifests-schema/commands.ts';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import { createFakeClock } from '../fakes/clock.ts';
import '../property.ts';

const MINUTE = 60_000;
const START = Date.parse('2026-11-30T08:00:00Z');
const at = (ms: number) => new Date(START + ms).toISOString();
const NOWHERE: ReplyTo = { place: null, correlation: null };
const status = {
  sync: 'synced',
  health: 'healthy',
  reason: '',
  message: '',
  applied: { commit: 'a'.repeat(40) },
  problems: [],
  problemsTotal: 0,
} as unknown as StatusDocument;
const run = { id: 7, changed: 1, failed: 0, repaired: 0, durationMs: 5 };

class Crash extends Error {}

/** A host with its state on a disk that survives each restart. */
function createHost({ listed = COMMANDS as RemoteOptions['listed'] } = {}) {
  const db = new Database(':memory:');
  for (const sql of MIGRATIONS) db.exec(sql);
  const kept: Commands = createCommands(db, createMeta(db), createWriter(db));
  const effects: string[] = [];
  const answers: { to: ReplyTo; result: CommandResult }[] = [];
  let life = 0;
  let now = START;
  let doubt: string | null = null;
  let isOpen = true;
  /** Steps until the agent dies. */
  let left = Number.POSITIVE_INFINITY;
  let diesAfter = false;
  let plan: (() => unknown) | null = null;
  let wait: Promise<void> = Promise.resolve();

  function live(): Remote {
    const born = ++life;
    left = Number.POSITIVE_INFINITY;
    const step = <T>(act: () => T): T => {
      if (born !== life) throw new Crash();
      const isLast = --left === 0;
      if (isLast && !diesAfter) life++;
      if (born !== life) throw new Crash();
      const answer = act();
      if (isLast) life++;
      if (born !== life) throw new Crash();
      return answer;
    };
    const remote = createRemote({
      ...{ host: 'h', fleet: 'f', listed, log: silentLog, changed: () => undefined, redact: (value) => value },
      clock: { now: () => new Date(now) },
      clockDoubt: async () => doubt,
      commands: {
        ...kept,
        begin: (...given) => step(() => kept.begin(...given)),
        finish: (...given) => step(() => kept.finish(...given)),
        told: (...given) => step(() => kept.told(...given)),
        sweep: (...given) => step(() => kept.sweep(...given)),
      },
      outbox: { push: () => step(() => undefined) },
      api: () => ({
        async plan(request, _signal, command) {
          await wait;
          step(() => effects.push(`plan ${command?.id}`));
          if (plan !== null) return plan() as never;
          return { schema: 1, commit: request.commit ?? null, held: null, error: null, issues: [], actions: [] };
        },
        async hold(verb, request, command) {
          step(() => effects.push(`${verb} ${command?.id}`));
          const pause = verb === 'rollback' ? null : { until: null, reason: request.reason ?? '', at: at(0) };
          const pin = verb === 'pause' ? null : { commit: request.commit ?? 'b'.repeat(40), at: at(0) };
          return { schema: 1, pause, pin, commit: null };
        },
        async sync({ command, ...asked }, _trigger, line) {
          await wait;
          step(() =>
            effects.push(`sync ${command?.id} ${Object.keys(asked).filter((k) => asked[k as 'force'])}`.trim()),
          );
          line({ type: 'done', run, status } as unknown as SyncLine);
        },
      }),
      async reply(to, result) {
        if (!isOpen) throw new AgentError({ code: 'PublishFailed', phase: 'report', message: 'no connection' });
        return step(() => {
          answers.push({ to, result });
          return 'taken' as const;
        });
      },
    });
    try {
      remote.start();
    } catch (thrown) {
      if (!(thrown instanceof Crash)) throw thrown;
    }
    return remote;
  }
  return {
    live,
    effects,
    answers,
    kept,
    states: () => answers.map(({ result }) => result.state),
    last: () => answers.at(-1)?.result,
    pass: (ms: number) => {
      now += ms;
    },
    doubt: (why: string | null) => {
      doubt = why;
    },
    open: (is: boolean) => {
      isOpen = is;
    },
    plans: (made: () => unknown) => {
      plan = made;
    },
    waits: (until: Promise<void>) => {
      wait = until;
    },
    dies(step: number, after: boolean) {
      left = step;
      diesAfter = after;
    },
  };
}

const text = (command: string, more: object = {}, args: object = {}): string =>
  JSON.stringify({ id: 'c-1', command, args, expires: at(10 * MINUTE), ...more });
const send = (remote: Remote, said: string, reply: ReplyTo = NOWHERE) => remote.take({ text: said, reply });

describe('a command', () => {
  test('is carried out, and answered twice if it takes long', async () => {
    const host = createHost();
    const reply = { place: 'p/f/replies/x', correlation: 'AQI=' };
    await send(host.live(), text('sync', {}, { force: true, allowPrune: true }), reply);
    expect(host.effects).toEqual(['sync c-1 force,allowPrune']);
    expect(host.states()).toEqual(['accepted', 'done']);
    expect(host.answers.map(({ to }) => to)).toEqual([reply, reply]);
    expect(host.last()).toMatchObject({
      id: 'c-1',
      host: 'h',
      command: 'sync',
      status: { sync: 'synced', run: { id: 7 } },
    });
    for (const { result } of host.answers) expect(commandResult.safeParse(result).error).toBeUndefined();
  });

  test.each(COMMANDS)('%s is answered by a document that matches its schema', async (name) => {
    const host = createHost();
    await send(host.live(), text(name));
    expect(host.last()?.state).toBe('done');
    for (const { result } of host.answers) expect(commandResult.safeParse(result).error).toBeUndefined();
  });

  test.each([
    ['is not listed', text('pause'), 'CommandOff'],
    ['has expired', text('sync', { expires: at(0) }), 'CommandExpired'],
    ['expires too far ahead', text('sync', { expires: at(61 * MINUTE) }), 'CommandExpired'],
    ['has no expiry', JSON.stringify({ id: 'c', command: 'sync', args: {} }), 'InvalidCommand'],
    ['would rewind', text('sync', {}, { allowRewind: true }), 'InvalidCommand'],
    ['would leave data behind', text('sync', {}, { allowEmpty: true }), 'InvalidCommand'],
    ['has an option of another command', text('sync', {}, { commit: 'abcd' }), 'InvalidCommand'],
    ['is unknown', text('exec'), 'InvalidCommand'],
    ['has an id that cannot be part of a topic', text('sync', { id: 'a/b' }), 'InvalidCommand'],
  ])('that %s is refused', async (_name, said, reason) => {
    const host = createHost({ listed: ['sync'] });
    await send(host.live(), said, { place: 'p/f/replies/x', correlation: null });
    expect(host.effects).toEqual([]);
    expect(host.last()).toMatchObject({ state: 'refused', reason });
  });

  test('is refused while the date of the host is wrong', async () => {
    const host = createHost();
    host.doubt("this host's clock says 1970");
    await send(host.live(), text('sync'));
    expect(host.last()).toMatchObject({ state: 'refused', reason: 'ClockWrong' });
    expect(host.effects).toEqual([]);
  });

  test('without an id and a response topic gets no answer', async () => {
    const host = createHost();
    await send(host.live(), 'no JSON');
    expect(host.answers).toEqual([]);
  });

  test('for a plan is refused if plans may not be seen', async () => {
    const host = createHost();
    host.plans(() => {
      throw new AgentError({ code: 'NotReviewed', phase: 'plan', message: 'it is not signed' });
    });
    await send(host.live(), text('plan', {}, { commit: 'c'.repeat(40) }));
    expect(host.last()).toMatchObject({ state: 'refused', reason: 'NotReviewed' });
  });

  test('has an answer of limited size, whatever the plan is', async () => {
    const host = createHost();
    const long = 'ü'.repeat(5_000);
    const action = {
      id: `file:/${long}`,
      op: 'create',
      why: Array.from({ length: 9 }, () => ({ field: long, to: long })),
    };
    const issue = { severity: 'error', file: long, line: 1, column: 1, key: '', message: long };
    host.plans(() => ({
      ...{ schema: 1, commit: null, held: long, error: null },
      issues: Array.from({ length: 500 }, () => issue),
      actions: Array.from({ length: 2_000 }, () => action),
    }));
    await send(host.live(), text('plan'));
    const last = host.last();
    expect(Buffer.byteLength(JSON.stringify(last))).toBeLessThanOrEqual(32 * 1024);
    expect(last?.plan).toMatchObject({ actionsTotal: 2_000, issuesTotal: 500, counts: { create: 2_000 } });
    expect(commandResult.safeParse(last).error).toBeUndefined();
  });

  test('beyond the limit of concurrent commands or plans is refused', async () => {
    const host = createHost();
    const { promise, resolve } = Promise.withResolvers<void>();
    host.waits(promise);
    const remote = host.live();
    const plans = Array.from({ length: 3 }, (_, i) => send(remote, text('plan', { id: `p-${i}` })));
    await plans[2];
    const answerTo = (id: string) => host.answers.find(({ result }) => result.id === id)?.result;
    expect(answerTo('p-2')).toMatchObject({ state: 'refused', reason: 'CommandsFlooded' });
    const all = [...plans, ...Array.from({ length: 7 }, (_, i) => send(remote, text('sync', { id: `c-${i + 2}` })))];
    await all[9];
    expect(answerTo('c-8')).toMatchObject({ state: 'refused', reason: 'CommandsFlooded' });
    resolve();
    await Promise.all(all);
    expect(host.effects).toHaveLength(8);
  });
});

describe('a pause of an operator', () => {
  const PERSON: Pause = { until: null, reason: 'a disk is changed', at: at(0) };
  function host(held: Partial<Remembered>) {
    let memory = { pause: null, pin: null, resourcePauses: null, ...held };
    const commits = {
      get: () => memory,
      set: (change: object) => {
        memory = { ...memory, ...change };
      },
    };
    const deps = { store: { commits }, clock: { now: () => new Date(START) } } as unknown as EngineDeps;
    const ask = (verb: HoldVerb, request = {}) =>
      hold(deps, verb, request, { by: 'broker', command: { id: 'c', reason: '' } });
    return { ask, now: () => memory };
  }

  test('is not shortened by a pause command', async () => {
    const { ask, now } = host({ pause: PERSON });
    expect((await ask('pause', { for: '1m' })).pause).toEqual(PERSON);
    expect(now().pause).toEqual(PERSON);
  });

  test('may be lengthened by a command', async () => {
    const { ask, now } = host({ pause: { ...PERSON, until: at(MINUTE) } });
    await ask('pause', { for: '2h', reason: 'power works' });
    expect(now().pause).toEqual({ until: at(120 * MINUTE), reason: 'power works [command c]', at: at(0) });
  });

  test('of a single resource stays when a command resumes the host', async () => {
    const backup = [{ id: 'service:shop/db' as const, until: null, reason: 'backup', at: at(0) }];
    const { ask, now } = host({ pause: PERSON, resourcePauses: backup });
    expect((await ask('resume')).pause).toEqual(PERSON);
    expect(now()).toEqual({ pause: null, pin: null, resourcePauses: backup });
  });
});

describe('a repeated command', () => {
  test('gets the same answer, and is not carried out again', async () => {
    const host = createHost();
    const remote = host.live();
    await send(remote, text('pause'));
    host.pass(MINUTE);
    await send(remote, text('pause'), { place: 'p/f/replies/again', correlation: null });
    expect(host.effects).toEqual(['pause c-1']);
    expect(host.answers[1]?.to.place).toBe('p/f/replies/again');
    expect(host.answers[1]?.result).toEqual(host.answers[0]?.result);
  });

  test('is answered once while it is in progress', async () => {
    const host = createHost();
    const remote = host.live();
    await Promise.all([send(remote, text('sync')), send(remote, text('sync')), send(remote, text('sync'))]);
    expect(host.effects).toEqual(['sync c-1']);
    expect(host.states()).toEqual(['accepted', 'done']);
  });

  test('with other content is refused', async () => {
    const host = createHost();
    const remote = host.live();
    await send(remote, text('pause'));
    await send(remote, text('resume'));
    expect(host.last()).toMatchObject({ state: 'refused', reason: 'InvalidCommand' });
    expect(host.effects).toEqual(['pause c-1']);
  });

  test('is not carried out again when the date was set forward and back', async () => {
    const host = createHost();
    const remote = host.live();
    await send(remote, text('pause'));
    host.pass(1_000 * MINUTE);
    await send(remote, text('pause', { id: 'c-2', expires: at(1_010 * MINUTE) }));
    expect(host.kept.find('c-1')).toBeNull();
    host.pass(-1_000 * MINUTE);
    await send(remote, text('pause'));
    expect(host.last()).toMatchObject({ state: 'refused', reason: 'CommandExpired' });
    expect(host.effects).toEqual(['pause c-1', 'pause c-2']);
  });

  test('is not carried out again after the state was lost', async () => {
    const host = createHost();
    host.kept.lost(START + 60 * MINUTE);
    await send(host.live(), text('pause'));
    expect(host.last()).toMatchObject({ state: 'refused', reason: 'CommandExpired' });
  });
});

test('an answer that could not be sent is sent once, when there is a connection again', async () => {
  const host = createHost();
  host.open(false);
  await send(host.live(), text('pause'));
  expect(host.answers).toEqual([]);
  const next = host.live();
  host.open(true);
  next.opened();
  await expect.poll(() => host.states()).toEqual(['done']);
  next.opened();
  await send(next, text('pause', { id: 'c-2' }));
  expect(host.answers.map(({ result }) => result.id)).toEqual(['c-1', 'c-2']);
});

describe('a crash', () => {
  const STEPS = 8;
  test.each(COMMANDS)('at any step of %s leaves it done at most once, and answered equally', async (name) => {
    for (let step = 1; step <= STEPS; step++)
      for (const after of [false, true]) {
        const host = createHost();
        const first = host.live();
        host.dies(step, after);
        await send(first, text(name));
        const before = host.answers.filter(({ result }) => result.state !== 'accepted').map(({ result }) => result);
        const next = host.live();
        next.opened();
        await send(next, text(name));
        await send(next, text(name));
        const where = `${name}, step ${step}, ${after ? 'after' : 'before'}`;
        // A rollback is a pin and a run.
        const most = name === 'rollback' ? 2 : 1;
        expect(host.effects.length, where).toBeLessThanOrEqual(most);
        expect(new Set(host.effects).size, where).toBe(host.effects.length);
        const final = host.answers.filter(({ result }) => result.state !== 'accepted').map(({ result }) => result);
        expect(final.length, where).toBeGreaterThan(0);
        for (const result of [...before, ...final]) expect(result, where).toEqual(final[0]);
        if (host.effects.length < most) expect(final[0]?.state, where).toBe('failed');
      }
  });
});

describe('any payload', () => {
  const json = fc.oneof(
    fc.json(),
    fc.string(),
    fc.json().map((made) => made.slice(0, -1)),
  );
  test('is read without an error, and never requests more than a command may', () => {
    fc.assert(
      fc.property(json, (said) => {
        const { command } = readCommand(said);
        if (command !== null) expect(COMMANDS).toContain(command.command);
      }),
    );
  });

  test('that looks like a command contains only known keys', () => {
    const known = ['id', 'command', 'args', 'expires'];
    const flags = ['force', 'adopt', 'allowPrune', 'commit', 'for', 'reason'];
    const value = fc.oneof(
      fc.boolean(),
      fc.string(),
      fc.integer(),
      fc.constant(null),
      fc.constant('abcdef'),
      fc.constant('2h'),
    );
    const name = fc.constantFrom(...flags, 'allowRewind', 'allowEmpty', 'holder', 'ids', 'watched', '__proto__');
    const document = fc.record({
      id: fc.constantFrom('a', 'b/c', ''),
      command: fc.constantFrom(...COMMANDS, 'exec'),
      args: fc.dictionary(name, value, { maxKeys: 3 }),
      expires: fc.constantFrom(at(MINUTE), 'tomorrow'),
    });
    fc.assert(
      fc.property(document, (made) => {
        const { command } = readCommand(JSON.stringify(made));
        if (command === null) return;
        expect(known).toEqual(expect.arrayContaining(Object.keys(command)));
        expect(flags).toEqual(expect.arrayContaining(Object.keys(command.args)));
      }),
    );
  });

  test('as a response topic never gets an answer outside of the reply topics', () => {
    const part = fc.oneof(fc.string({ maxLength: 8 }), fc.constantFrom('..', '+', '#', '', 'a', '$SYS', '\u0000'));
    const topic = fc.oneof(
      fc.string(),
      fc.array(part, { maxLength: 6 }).map((parts) => `p/f/replies/${parts.join('/')}`),
      fc.array(part, { maxLength: 6 }).map((parts) => ['p', 'f', 'replies', ...parts].join('/')),
    );
    fc.assert(
      fc.property(topic, fc.uint8Array({ maxLength: 300 }), (responseTopic, bytes) => {
        const { place, correlation } = replyTo({ responseTopic, correlationData: Buffer.from(bytes) }, 'p/f/replies');
        if (place !== null) expect(place).toMatch(/^p\/f\/replies(\/[A-Za-z0-9._~@:=-]+){1,4}$/);
        if (correlation !== null) expect(Buffer.from(correlation, 'base64')).toEqual(Buffer.from(bytes));
        expect(correlation === null).toBe(bytes.length > 128);
      }),
    );
  });

  test('in any order, over restarts and any date, is carried out once for each id, and answered equally', async () => {
    const ids = ['a', 'b', 'c'];
    const move = fc.oneof(
      fc.record({ what: fc.constant('send' as const), id: fc.constantFrom(...ids) }),
      fc.record({ what: fc.constant('restart' as const) }),
      fc.record({ what: fc.constant('pass' as const), minutes: fc.integer({ min: -120, max: 120 }) }),
      fc.record({ what: fc.constant('connect' as const), is: fc.boolean() }),
      fc.record({ what: fc.constant('die' as const), step: fc.integer({ min: 1, max: 6 }), after: fc.boolean() }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(move, { maxLength: 25 }), async (moves) => {
        const host = createHost();
        let remote = host.live();
        for (const one of moves) {
          const at40 = at(40 * MINUTE);
          if (one.what === 'send') await send(remote, text('pause', { id: one.id, expires: at40 }));
          else if (one.what === 'restart') {
            remote = host.live();
            remote.opened();
          } else if (one.what === 'pass') host.pass(one.minutes * MINUTE);
          else if (one.what === 'connect') host.open(one.is);
          else host.dies(one.step, one.after);
        }
        expect(new Set(host.effects).size).toBe(host.effects.length);
        for (const id of ids) {
          const final = host.answers.filter(({ result }) => result.id === id && result.state !== 'refused');
          for (const { result } of final) expect(result).toEqual(final[0]?.result);
        }
      }),
    );
  });
});

describe('a message on the command topics', () => {
  const topics = { commands: ['p/f/hosts/h/commands', 'p/f/commands'], replies: 'p/f/replies' };
  function commandListener() {
    const heard: ReceivedCommand[] = [];
    const problems: (string | null)[] = [];
    const clock = createFakeClock();
    const made = createCommandSubscription({
      ...{ topics, clock, heard: (one) => heard.push(one) },
      report: (problem) => problems.push(problem?.reason ?? null),
    });
    return { ...made, heard, problems, clock };
  }

  test('is ignored if it is retained, or on another topic', () => {
    const { receive, heard } = commandListener();
    expect(receive('p/f/hosts/h/commands', Buffer.from('x'), { retain: true })).toBe(true);
    expect(receive('p/f/refs/main', Buffer.from('x'), { retain: false })).toBe(false);
    expect(heard).toEqual([]);
    receive('p/f/commands', Buffer.from('x'), { retain: false });
    expect(heard).toEqual([{ text: 'x', reply: NOWHERE }]);
  });

  test('is limited in length', () => {
    const { receive, heard } = commandListener();
    receive('p/f/commands', Buffer.alloc(16_000, 'x'), { retain: false });
    expect(heard[0]?.text).toHaveLength(4_096);
  });

  test('beyond the budget of a minute is dropped, and that is a problem', () => {
    const { receive, heard, problems, isDeaf } = commandListener();
    for (let i = 0; i < 500; i++) receive('p/f/commands', Buffer.from('x'), { retain: i % 2 === 0 });
    expect(heard).toHaveLength(60);
    expect(problems).toEqual(['CommandsFlooded']);
    expect(isDeaf()).toBe(true);
  });
});

const received: ReceivedCommand = { text: text('pause'), reply: NOWHERE };
test('no command is accepted after the stop', async () => {
  const host = createHost();
  const remote = host.live();
  remote.stop();
  await remote.take(received);
  expect(host.effects).toEqual([]);
});
