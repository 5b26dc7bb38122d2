import { describe, expect, test } from 'vitest';
import { allCases } from '../../compose/cases.ts';
import { loadCase } from '../../compose/load.ts';

const cases = allCases();
const errorsOf = (one: (typeof cases)[number]) => loadCase(one).issues.filter((i) => i.severity === 'error');

test('there are enough cases, each with a name of its own', () => {
  expect(cases.length).toBeGreaterThanOrEqual(150);
  expect(new Set(cases.map((c) => c.name)).size).toBe(cases.length);
});

// The results are compared with `docker compose` itself in test/lab/compose-oracle.test.ts.
describe('accepted and refused compose files', () => {
  test.each(cases.map((c) => [c.name, c] as const))('%s', (_name, one) => {
    const errors = errorsOf(one);
    expect(errors.length > 0, errors.map((e) => e.message).join('; ')).toBe(one.refused || one.stricter !== '');
    for (const error of errors) {
      expect(error.line).toBeGreaterThan(0);
      expect(error.column).toBeGreaterThan(0);
      expect(error.file).toMatch(/^hosts\/oracle/);
      expect(error.message.length).toBeGreaterThan(10);
    }
  });
});
