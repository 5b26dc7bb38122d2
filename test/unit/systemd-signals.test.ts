/** Object paths of units, as D-Bus names them. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { escapeLabel } from '../../agent/system/systemd/signals.ts';

test("object paths of units are escaped like systemd's, and no two units share one", () => {
  expect(escapeLabel('loop.service')).toBe('loop_2eservice');
  expect(escapeLabel('1-ü@x.timer')).toBe('_31_2d_c3_bc_40x_2etimer');
  const name = fc.string({ minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(name, name, (a, b) => {
      expect(escapeLabel(a)).toMatch(/^[A-Za-z0-9_]+$/);
      expect(escapeLabel(a) === escapeLabel(b)).toBe(a === b);
    }),
  );
});
