import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
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
