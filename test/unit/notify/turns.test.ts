/** Which turns of hosts cause notifications: each once, merged over hosts, also over restarts, and limited in rate. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { emptyMemory, type Memory, type Message, sendable, sent } from '../../../agent/notify/model/memory.ts';
import { type Sight, sightOf } from '../../../agent/notify/model/sight.ts';
import { FLEET_RULES, HOST_RULES, type Rules, see, tick } from '../../../agent/notify/model/turns.ts';
import { OF_A_FLEET, type Trouble } from '../../../manifests-schema/notify.ts';
import '../../property.ts';
import { problem, statusWith } from './status.ts';

const START = Date.parse('2026-11-24T08:00:00Z');
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** A memory with a clock; it is serialized to JSON wherever a process could have ended. */
function world(rules: Partial<Rules> = {}) {
  const using: Rules = { ...HOST_RULES, on: OF_A_FLEET, prefix: 'p', ...rules };
  let now = START;
  let memory: Memory = emptyMemory(now);
  const said: (Message & { sentAt: number })[] = [];
  const collect = () => {
    const { queue } = memory;
    said.push(...queue.map((message) => ({ ...message, sentAt: now })));
    memory.queue = [];
  };
  return {
    said,
    titles: () => said.map(({ occasion, hosts }) => `${occasion} ${hosts.join(',')}`),
    now: () => now,
    memory: () => memory,
    restart() {
      memory = JSON.parse(JSON.stringify(memory)) as Memory;
    },
    setClock(at: number) {
      now = at;
    },
    see(...sights: Sight[]) {
      for (const sight of sights) see(memory, sight, using, now);
    },
    /** Lets time pass, and does everything that is due. */
    pass(ms: number) {
      const end = now + ms;
      for (;;) {
        const next = tick(memory, using, now);
        collect();
        if (next === null || now + next > end) break;
        now += next;
      }
      now = end;
      tick(memory, using, now);
      collect();
    },
  };
}

const failed = (host = 'edge-1', commit = 'a'.repeat(40)) =>
  sightOf(
    statusWith(
      { host, sync: 'failed', reason: 'ApplyFailed', problems: [problem('unit:app.service', 'UnitFailed')] },
      commit,
    ),
  );
const outage = (host = 'edge-1') =>
  sightOf(
    statusWith({
      host,
      sync: 'failed',
      reason: 'RepositoryUnreachable',
      problems: [problem('repository', 'RepositoryUnreachable')],
    }),
  );
const well = (host = 'edge-1') => sightOf(statusWith({ host }));
const working = (host = 'edge-1') => sightOf(statusWith({ host, sync: 'progressing' }));

describe('one host', () => {
  test('a failure is reported once, however often it is seen', () => {
    const w = world();
    for (let i = 0; i < 50; i++) {
      w.see(failed());
      w.pass(MINUTE);
      w.restart();
    }
    expect(w.titles()).toEqual(['failed edge-1']);
  });

  test('a recovery is reported after it has lasted for a minute', () => {
    const w = world();
    w.see(failed());
    w.pass(MINUTE);
    w.see(well());
    w.pass(59 * SECOND);
    expect(w.titles()).toEqual(['failed edge-1']);
    w.restart();
    w.pass(10 * SECOND);
    expect(w.titles()).toEqual(['failed edge-1', 'recovered edge-1']);
  });

  test('a recovery is not reported if its failure was not', () => {
    const w = world();
    w.see(well());
    w.see(outage());
    w.pass(MINUTE);
    w.see(well());
    w.pass(HOUR);
    expect(w.titles()).toEqual([]);
    expect(w.memory().hosts).toEqual({});
  });

  test('an outage is reported once it lasts, also if the host retries in between', () => {
    const w = world();
    for (let i = 0; i < 4; i++) {
      w.see(working());
      w.see(outage());
      w.pass(MINUTE);
    }
    expect(w.titles()).toEqual([]);
    w.pass(2 * MINUTE);
    expect(w.titles()).toEqual(['failed edge-1']);
  });

  test('a second bad commit is reported as well, and the first one not again', () => {
    const w = world();
    for (const commit of ['a', 'b', 'a', 'b']) {
      w.see(failed('edge-1', commit.repeat(40)));
      w.pass(MINUTE);
    }
    expect(w.said.map(({ brief }) => brief?.commit?.[0])).toEqual(['a', 'b']);
  });

  test('a host that alternates all the time causes few messages in a day', () => {
    const w = world();
    for (let i = 0; i < 24 * 20; i++) {
      w.see(failed());
      w.pass(90 * SECOND);
      w.see(well());
      w.pass(90 * SECOND);
      w.restart();
    }
    expect(w.said.length).toBeLessThan(10);
    w.see(well());
    w.pass(2 * HOUR);
    expect(w.said.at(-1)?.occasion).toBe('recovered');
  });

  test('an occasion that is not configured is not reported, and neither is its end', () => {
    const w = world({ on: ['rolled-back', 'recovered'] });
    w.see(failed());
    w.pass(MINUTE);
    w.see(well());
    w.pass(HOUR);
    expect(w.titles()).toEqual([]);
  });

  test('a waiting message is sent in time after the clock was set back by a year', () => {
    const w = world();
    w.see(outage());
    w.pass(MINUTE);
    w.setClock(START - 365 * 24 * HOUR);
    w.pass(6 * MINUTE);
    expect(w.titles()).toEqual(['failed edge-1']);
  });

  test('a closed window and observe mode do not count as held', () => {
    const gate = (kind: string) => ({ kind, reason: 'x', until: null });
    expect(sightOf(statusWith({ sync: 'held', gate: gate('window') })).trouble).toBe('none');
    expect(sightOf(statusWith({ sync: 'held', gate: gate('observe') })).trouble).toBe('none');
    expect(sightOf(statusWith({ sync: 'held', gate: gate('review') })).trouble).toBe('held');
    expect(sightOf(statusWith({ sync: 'held', gate: gate('upgrade') })).trouble).toBe(null);
  });

  test('a service that is not healthy is reported by its own problem, not by an unreachable broker', () => {
    const sight = sightOf(
      statusWith({
        health: 'degraded',
        reason: 'BrokerUnreachable',
        message: 'm',
        problems: [problem('broker', 'BrokerUnreachable'), problem('service:shop/web', 'Unhealthy')],
      }),
    );
    expect(sight).toMatchObject({ trouble: 'degraded', brief: { reason: 'Unhealthy', message: '', turn: 'commit' } });
  });

  test('a resource that keeps drifting is a drift storm', () => {
    const sight = sightOf(statusWith({ reason: 'Contended', problems: [problem('file:/etc/motd', 'Contended')] }));
    expect(sight).toMatchObject({ trouble: 'drift-storm', brief: { problems: [{ id: 'file:/etc/motd' }] } });
  });
});

describe('a fleet', () => {
  const many = Array.from({ length: 500 }, (_, i) => `edge-${i}`);

  test('500 hosts that fail by one commit, spread over a minute, are one message', () => {
    const w = world(FLEET_RULES);
    for (const host of many) {
      w.see(failed(host));
      w.pass(120);
    }
    w.pass(HOUR);
    expect(w.said.map(({ occasion, hostsTotal }) => [occasion, hostsTotal])).toEqual([['failed', 500]]);
  });

  test('their recovery is one message as well, with the hosts that are still failing', () => {
    const w = world(FLEET_RULES);
    for (const host of many) w.see(failed(host));
    w.pass(2 * MINUTE);
    for (const host of many.slice(1)) w.see(well(host));
    w.pass(5 * MINUTE);
    expect(w.said.slice(1).map(({ occasion, hostsTotal, left }) => ({ occasion, hostsTotal, left }))).toEqual([
      { occasion: 'recovered', hostsTotal: 499, left: 1 },
    ]);
  });

  test('late hosts are one more message, after a pause', () => {
    const w = world(FLEET_RULES);
    for (const host of many.slice(0, 10)) w.see(failed(host));
    w.pass(2 * MINUTE);
    for (const host of many.slice(10)) {
      w.see(failed(host));
      w.pass(SECOND);
    }
    w.pass(HOUR);
    expect(w.said.map(({ hostsTotal, more }) => [hostsTotal, more ?? false])).toEqual([
      [10, false],
      [490, true],
    ]);
  });

  test('two causes are two messages', () => {
    const w = world(FLEET_RULES);
    w.see(failed('edge-1'), failed('edge-2', 'b'.repeat(40)), failed('edge-3'));
    w.pass(2 * MINUTE);
    expect(w.titles().sort()).toEqual(['failed edge-1,edge-3', 'failed edge-2']);
  });
});

describe('for any behaviour of hosts', () => {
  const HOSTS = ['a', 'b', 'c'];
  const TROUBLES: readonly Trouble[] = ['failed', 'held', 'degraded', 'offline'];
  const sight = fc.record({
    host: fc.constantFrom(...HOSTS),
    kind: fc.oneof(fc.constant('none' as const), fc.constant(null), fc.constantFrom(...TROUBLES)),
    cause: fc.constantFrom('x', 'y'),
    wait: fc.boolean(),
  });
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ sight, ms: fc.integer({ min: 0, max: 20 * MINUTE }) }) },
    { weight: 1, arbitrary: fc.constant('restart' as const) },
  );
  const asSight = ({
    host,
    kind,
    cause,
    wait,
  }: {
    host: string;
    kind: Trouble | 'none' | null;
    cause: string;
    wait: boolean;
  }): Sight => {
    if (kind === null) return { host, trouble: null };
    if (kind === 'none') return { host, trouble: 'none' };
    const made = failed(host) as Extract<Sight, { brief: unknown }>;
    return {
      ...made,
      trouble: kind,
      key: `${kind} ${cause}`,
      brief: { ...made.brief, reason: cause, turn: wait ? 'wait' : 'host' },
    };
  };
  const keyOf = ({ occasion, brief }: Message) => `${occasion} ${brief?.reason}`;

  test('no cause is reported twice, and no recovery without its failure', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.constantFrom(HOST_RULES, FLEET_RULES), (steps, rules) => {
        const w = world(rules);
        for (const one of steps) {
          if (one === 'restart') w.restart();
          else {
            w.see(asSight(one.sight));
            w.pass(one.ms);
          }
        }
        const open = new Map(HOSTS.map((host) => [host, new Set<string>()]));
        for (const message of w.said)
          for (const host of message.hosts) {
            const told = open.get(host) as Set<string>;
            if (message.occasion === 'recovered') {
              expect(told.size, `${host} was told before`).toBeGreaterThan(0);
              told.clear();
            } else {
              expect(told.has(keyOf(message)), `${host} was told of ${keyOf(message)} already`).toBe(false);
              told.add(keyOf(message));
            }
          }
        expect(new Set(w.said.map(({ id }) => id)).size).toBe(w.said.length);
      }),
    );
  });

  test('lasting trouble is reported in the end, and so is its end', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const w = world(FLEET_RULES);
        for (const one of steps)
          if (one === 'restart') w.restart();
          else {
            w.see(asSight(one.sight));
            w.pass(one.ms);
          }
        w.see(asSight({ host: 'a', kind: 'failed', cause: 'x', wait: true }));
        w.pass(4 * HOUR);
        const about = w.said.filter(({ hosts }) => hosts.includes('a'));
        const since = about.slice(about.findLastIndex(({ occasion }) => occasion === 'recovered') + 1);
        expect(since.map(keyOf)).toContain('failed x');
        w.see({ host: 'a', trouble: 'none' });
        w.pass(6 * HOUR);
        expect(w.said.findLast(({ hosts }) => hosts.includes('a'))?.occasion).toBe('recovered');
        expect(w.memory().hosts.a).toBeUndefined();
      }),
    );
  });
});

describe('the queue', () => {
  const queue = (memory: Memory, count: number, now: number) => {
    const rules: Rules = { ...HOST_RULES, on: OF_A_FLEET, prefix: 'p' };
    for (let i = 0; i < count; i++) {
      see(memory, failed(`h${i}`, i.toString(16).padStart(40, '0')), rules, now);
      tick(memory, rules, now);
    }
    tick(memory, rules, now + MINUTE);
  };

  test('sends a few one by one, many as one, and drops what a burst adds', () => {
    const memory = emptyMemory(START);
    queue(memory, 2, START);
    const sizes: number[] = [];
    let now = START + MINUTE;
    for (let i = 0; i < 12; i++) {
      const { messages } = sendable(memory, now);
      sizes.push(messages.length);
      if (messages.length > 0) sent(memory, messages);
      // Two of these ten hosts were reported already.
      queue(memory, i === 1 ? 10 : 0, now);
      now += 1;
    }
    expect(sizes.slice(0, 3)).toEqual([1, 1, 8]);
    expect(sizes.slice(3)).toEqual(sizes.slice(3).map(() => 0));
  });

  test('sends no more than a few messages at once and twenty in an hour', () => {
    const memory = emptyMemory(START);
    let count = 0;
    for (let s = 0; s < 3_600; s += 5) {
      memory.queue.push({ ...(memory.queue[0] as Message), id: String(s) });
      const { messages } = sendable(memory, START + s * SECOND);
      if (messages.length === 0) continue;
      sent(memory, messages);
      count++;
    }
    expect(count).toBeLessThanOrEqual(26);
  });

  test('holds at most a hundred messages, and counts the others', () => {
    const memory = emptyMemory(START);
    for (let i = 0; i < 130; i++) queue(memory, i, START + i * HOUR);
    expect(memory.queue.length).toBe(100);
    expect(memory.dropped).toBeGreaterThan(0);
  });
});
