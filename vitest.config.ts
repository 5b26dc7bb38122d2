import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Short files that take minutes: begun first, so that none of them runs on alone when all others have ended. */
const LONG = ['services-kill', 'engine-kill', 'services-old'];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification) => LONG.some((name) => moduleId.endsWith(`/${name}.test.ts`));
    const sorted = await super.sort(files);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 60_000, hookTimeout: 60_000 } },
      {
        test: {
          name: 'engine',
          globalSetup: ['test/engine/setup.ts'],
          include: ['test/engine/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'lab',
          globalSetup: ['test/engine/setup.ts', 'test/lab/setup.ts'],
          include: ['test/contract/**/*.test.ts', 'test/lab/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 900_000,
          // Labs lie side by side, and most of their time is spent waiting; but not beside what computes.
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
