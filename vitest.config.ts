import path from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { LONG_FILES, ROOMS } from './test/rooms.ts';

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rankOf = ({ moduleId }: TestSpecification) => {
      const rank = LONG_FILES.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`));
      return rank < 0 ? LONG_FILES.length : rank;
    };
    const roomOf = ({ project }: TestSpecification) => project.config.sequence.groupOrder;
    const sorted = await super.sort(files);
    // vitest begins the rooms in the order in which their first files stand here.
    return sorted.toSorted((a, b) => roomOf(a) - roomOf(b) || rankOf(a) - rankOf(b));
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    // Switched on by `npm test` (test/run.ts) alone; test/coverage.ts holds the rooms of agent/ to test/coverage.json.
    coverage: {
      provider: 'v8',
      include: ['agent/**/*.ts', 'manifests-schema/**/*.ts'],
      reporter: ['json-summary'],
      reportOnFailure: true,
      reportsDirectory: path.join(import.meta.dirname, 'coverage'),
    },
    projects: ROOMS.map(({ name, include, exclude = [], globalSetup = [], maxWorkers, ...limits }, groupOrder) => ({
      test: {
        name,
        include: [...include],
        exclude: ['node_modules/**', ...exclude],
        globalSetup: [...globalSetup],
        setupFiles: ['test/property.ts', ...(name === 'lab' ? [] : ['test/temporary.ts'])],
        testTimeout: limits.testTimeout,
        hookTimeout: limits.hookTimeout,
        // A limit of patience: what is polled is to come to be, and vitest's own limit is a second, which a busy machine exceeds.
        expect: { poll: { timeout: limits.testTimeout / 2 } },
        sequence: { groupOrder },
        ...(maxWorkers ? { maxWorkers } : {}),
      },
    })),
  },
});
