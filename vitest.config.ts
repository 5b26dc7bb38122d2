import path from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { ROOMS } from './test/rooms.ts';

/** Files that take minutes begin first, so that none of them runs on alone after all others have ended. */
const LONG = ['services-twins', 'services-kill', 'engine-kill', 'services-old', 'pulls', 'git/pull', 'service-crash'];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification) => LONG.some((name) => moduleId.endsWith(`/${name}.test.ts`));
    const roomOf = ({ project }: TestSpecification) => project.config.sequence.groupOrder;
    const sorted = await super.sort(files);
    // vitest begins the rooms in the order in which their first files stand here.
    return sorted.toSorted((a, b) => roomOf(a) - roomOf(b) || Number(isLong(b)) - Number(isLong(a)));
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
        setupFiles: ['test/property.ts'],
        testTimeout: limits.testTimeout,
        hookTimeout: limits.hookTimeout,
        sequence: { groupOrder },
        ...(maxWorkers ? { maxWorkers } : {}),
      },
    })),
  },
});
