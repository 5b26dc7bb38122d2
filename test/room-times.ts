/** A vitest reporter: the time of each room of the suite, its slowest files, and exceeded budgets. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Reporter, TestModule } from 'vitest/node';
import { ROOMS, type Room } from './rooms.ts';

/** A budget is for two quiet cores. On a busy machine everything takes longer, so only this multiple of a budget fails a run. */
export const FAR_OVER = 4;
const SLOWEST = 5;

/** Wall time of one test file, in milliseconds since the epoch. */
export interface Span {
  room: string;
  file: string;
  from: number;
  to: number;
}

export interface RoomTime {
  room: string;
  /** From the start of its first file to the end of its last one. */
  minutes: number;
  budgetMinutes: number;
  /** `over` is only printed; `far over` fails the run. */
  state: 'within' | 'over' | 'far over';
}

/** Rooms without a file in `spans` are left out. */
export function timesOf(spans: readonly Span[], rooms: readonly Pick<Room, 'name' | 'budgetMinutes'>[]): RoomTime[] {
  return rooms.flatMap(({ name, budgetMinutes }) => {
    const own = spans.filter((span) => span.room === name);
    if (own.length === 0) return [];
    const from = Math.min(...own.map((span) => span.from));
    const to = Math.max(...own.map((span) => span.to));
    const minutes = (to - from) / 60_000;
    const state = minutes > FAR_OVER * budgetMinutes ? 'far over' : minutes > budgetMinutes ? 'over' : 'within';
    return [{ room: name, minutes, budgetMinutes, state }];
  });
}

/** The table for people; exceeded budgets are marked. */
export function tableOf(times: readonly RoomTime[]): string {
  return times
    .map(({ room, minutes, budgetMinutes, state }) => {
      const warning = state === 'within' ? '' : `   <<<<<< ${state.toUpperCase()} ITS BUDGET`;
      return `  ${room.padEnd(10)}${minutes.toFixed(1).padStart(6)} min of ${budgetMinutes}${warning}`;
    })
    .join('\n');
}

/** Prints at the end of a run; appends the spans as JSON lines to the file in `FAIRLEAD_TEST_TIMES`, if there is one. */
export default class RoomTimes implements Reporter {
  private readonly started = new Map<string, number>();
  private readonly spans: Span[] = [];

  onTestModuleQueued({ id }: TestModule): void {
    this.started.set(id, Date.now());
  }

  onTestModuleEnd({ id, project, moduleId }: TestModule): void {
    const to = Date.now();
    const file = path.relative(path.join(import.meta.dirname, '..'), moduleId);
    this.spans.push({ room: project.name, file, from: this.started.get(id) ?? to, to });
  }

  onTestRunEnd(): void {
    const slowest = [...this.spans].sort((a, b) => b.to - b.from - (a.to - a.from)).slice(0, SLOWEST);
    console.log('\nwall time by room:');
    console.log(tableOf(timesOf(this.spans, ROOMS)));
    console.log('slowest files:');
    for (const { file, from, to } of slowest)
      console.log(`  ${((to - from) / 1000).toFixed(1).padStart(7)} s  ${file}`);
    const output = process.env.FAIRLEAD_TEST_TIMES;
    if (output) writeFileSync(output, this.spans.map((span) => `${JSON.stringify(span)}\n`).join(''), { flag: 'a' });
  }
}
