/** A run announces long waits, so that the watchdog knows them. */
import { expect, test } from 'vitest';
import type { SyncLine } from '../../agent/core/progress.ts';
import { createWorld } from './world.ts';

test('a job with a long timeout is announced, and removals may take as long as changes', async () => {
  const world = createWorld();
  try {
    world.commit('one', { 'file:/a': { value: '1' }, 'service:p/old': { value: '1' } });
    await world.run();
    const job = world.deps().providers.get('job');
    if (job === undefined) throw new Error('a world without jobs');
    job.lastsMs = () => 7_200_000;
    world.commit('two', { 'file:/a': { value: '1' }, 'job:migrate': { value: '1' } });
    let last: SyncLine | null = null;
    let atRemoval: SyncLine | null = null;
    let atJob: SyncLine | null = null;
    world.onApply = () => {
      atJob = last;
      world.farEnd = 'silent';
    };
    world.onRemove = () => {
      atRemoval = last;
    };
    await world.run({
      emit: (line) => {
        if (line.type === 'phase') last = line;
        if (line.type === 'phase' && line.phase === 'settle') world.farEnd = 'answers';
      },
    });
    expect(atJob).toEqual({ type: 'phase', phase: 'apply', detail: 'job:migrate', withinMs: 7_200_000 });
    expect(atRemoval).toMatchObject({ phase: 'apply' });
  } finally {
    world.end();
  }
});
