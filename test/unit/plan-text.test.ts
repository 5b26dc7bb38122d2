/** A plan as people read it. */
import { expect, test } from 'vitest';
import { planText } from '../../agent/cli/text/plan-text.ts';
import { createStyle } from '../../agent/cli/text/table.ts';
import type { PlanDocument } from '../../manifests-schema/documents.ts';

const reader = { columns: Number.POSITIVE_INFINITY, style: createStyle(false), now: () => new Date(0) };
const HELD = 'this commit removes 3 of 4 managed resources';
const PLAN: PlanDocument = {
  schema: 1,
  commit: 'abcdef0123'.padEnd(40, '0'),
  issues: [],
  error: null,
  held: HELD,
  actions: [
    {
      id: 'file:/etc/a',
      op: 'update',
      why: [],
      origin: null,
      held: HELD,
      diff: '--- /etc/a\n+++ /etc/a\n-1\n+2\u001b[0m',
    },
    {
      id: 'volume:shop/db',
      op: 'remove',
      why: [{ field: 'volume', to: 'shop_db stays on the host, with its data' }],
      origin: null,
      held: HELD,
    },
    { id: 'file:/etc/b', op: 'remove', why: [], origin: null, held: 'its mode is observe' },
  ],
};

test('a plan begins with a summary', () => {
  expect(planText(PLAN, reader).split('\n')[0]).toBe('Plan for commit abcdef0: 1 to update, 2 to remove');
});

test('a plan prints a common hold once, and an individual hold with its action', () => {
  const text = planText(PLAN, reader);
  expect(text.split(HELD)).toHaveLength(2);
  expect(text).toContain('held: its mode is observe');
});

test('a plan lists what stays of a decommissioned host', () => {
  const plan = { ...PLAN, held: null, actions: [], stays: ['volume:shop/db'] };
  expect(planText(plan, reader)).toBe('stays: volume:shop/db, with its data; delete it by hand if nobody needs it');
});

test('a plan lists what stays', () => {
  expect(planText(PLAN, reader)).toContain(
    '- volume:shop/db  remove  volume: shop_db stays on the host, with its data',
  );
});

test('a plan shows the lines of a text one by one, without control sequences', () => {
  const lines = planText(PLAN, reader).split('\n');
  expect(lines.slice(3, 7)).toEqual(['    --- /etc/a', '    +++ /etc/a', '    -1', '    +2·[0m']);
});

test('a plan of a host that matches has no summary', () => {
  expect(planText({ ...PLAN, held: null, actions: [] }, reader)).toBe(
    'Nothing to do: the host matches commit abcdef0.',
  );
});
