/** A commit that replaces an unfinished one is also blamed for a connection that the unfinished one cut. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Endpoint, RunRequest } from '../../agent/engine/types.ts';
import { AgentError } from '../../agent/errors.ts';
import { createWorld, type Declaration, type World } from './world.ts';

let world: World;
beforeEach(() => {
  world = createWorld();
});
afterEach(() => world.end());

const brokerRule = (value: string, more: Declaration = {}): Declaration => ({
  'file:/broker-rule': { value },
  ...more,
});

/** This host's firewall blocks the broker while a file says so. */
function blockBroker(): void {
  const broker = world.deps().endpoints.find(({ name }) => name === 'broker') as Endpoint;
  broker.probe = async (signal) => {
    if (signal.aborted || world.things.get('file:/broker-rule')?.value !== 'shut') return;
    throw new AgentError({ code: 'BrokerUnreachable', phase: 'report', reach: 'here', message: 'let nothing out' });
  };
}

/** Stops a run in this phase; the next one follows in the same process. */
async function stoppedAt(phase: 'settle' | 'rollback'): Promise<void> {
  const stop = new AbortController();
  const emit: RunRequest['emit'] = (line) => {
    if (line.type === 'phase' && line.phase === phase) stop.abort();
  };
  await world.run({ signal: stop.signal, emit });
  expect(stop.signal.aborted).toBe(true);
}

test.each(['settle', 'rollback'] as const)(
  'a commit that replaces an unfinished one answers for the connection that this one cut, even if it was stopped in the phase %s',
  async (phase) => {
    blockBroker();
    world.commit('good', brokerRule('open'));
    await world.run();
    world.commit('cut', brokerRule('shut'));
    await stoppedAt(phase);
    expect(world.things.get('file:/broker-rule')?.value).toBe('shut');
    world.commit('more', brokerRule('shut', { 'file:/b': { value: '1' } }));
    expect(await world.run()).toMatchObject({ sync: 'rolled-back', reason: 'WayHomeShut' });
    expect(world.things.get('file:/broker-rule')?.value).toBe('open');
  },
);
