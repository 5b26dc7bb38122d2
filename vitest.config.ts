import path from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { ROOMS } from './test/rooms.ts';

/**
 * Files that take a minute or more, the longest first. They begin in this order, before all others, so that none of them runs on
 * alone after the others have ended.
 */
const LONG: readonly string[] = [
  // This one keeps the cores busy, the next ones wait.
  ...['services-twins', 'rollback', 'pulls', 'field-1', 'field-2', 'field-3', 'trouble', 'vm/clock', 'engine-trouble'],
  ...['services-many', 'services-old', 'images', 'services-kill', 'services-gentle', 'services-order', 'vm/power'],
  ...['services-start-first', 'contract/providers', 'services-failures', 'vm/machine', 'engine-kill', 'drift'],
  ...['contract/systemd', 'host-units', 'secrets-compose', 'citizen'],
  ...['git/pull', 'service-crash', 'interrupt', 'engine/crash', 'hostile-broker', 'unit-crash', 'unit/channel'],
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rankOf = ({ moduleId }: TestSpecification) => {
      const rank = LONG.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`));
      return rank < 0 ? LONG.length : rank;
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
        setupFiles: ['test/property.ts'],
        testTimeout: limits.testTimeout,
        hookTimeout: limits.hookTimeout,
        sequence: { groupOrder },
        ...(maxWorkers ? { maxWorkers } : {}),
      },
    })),
  },
});
