/** Texts for people: one resource on one screen, events as lines, tables, and line wrapping. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { eventText } from '../../agent/cli/text/event-text.ts';
import { historyText } from '../../agent/cli/text/print.ts';
import { showText } from '../../agent/cli/text/show-text.ts';
import { clip, createStyle, table, widthOf, wrap } from '../../agent/cli/text/table.ts';
import type { HistoryDocument, ShowDocument } from '../../agent/control/protocol.ts';
import type { EventDocument } from '../../manifests-schema/payloads.ts';

const style = createStyle(false);
const reader = { columns: 80, style, now: () => new Date('2026-11-24T12:00:00Z') };
const origin = { file: 'hosts/a/shop/compose.yaml', line: 2, layer: 'hosts/a' };

const service: ShowDocument = {
  schema: 1,
  id: 'service:shop/web',
  origin,
  attributes: { enabled: { ...origin, line: 7 } },
  commit: null,
  desired: {
    image: 'shop:1',
    enabled: false,
    privileged: false,
    environment: { A: '1', B: '2' },
    mounts: [{ type: 'volume', source: 'data', options: [], mount: { Type: 'volume', Labels: {} } }],
  },
  actual: { state: 'running', sha256: 'ab'.repeat(32), exitCode: 0 },
  status: null,
  history: [
    {
      run: 7,
      at: '2026-11-24T11:59:00Z',
      action: {
        id: 'service:shop/web',
        op: 'replace',
        why: [
          { field: 'image', from: 'shop:0', to: 'shop:1' },
          { field: 'kept', to: '/var/lib/fairlead/x' },
        ],
        result: 'done',
        drift: false,
        durationMs: 12_345,
      },
    },
  ],
  overwritten: [{ n: 1, run: 7, at: '2026-11-24T11:59:00Z', path: '/etc/x', kept: '/k', bytes: 7 }],
};

test('show: empty values are left out unless they were declared, nested values stand on one line', () => {
  expect(showText(service, reader)).toBe(`service:shop/web  no longer declared
declared hosts/a/shop/compose.yaml:2 (layer hosts/a)
  enabled: hosts/a/shop/compose.yaml:7 (layer hosts/a)
desired
  image: shop:1
  enabled: false
  environment: { A: "1", B: "2" }
  mounts:
    - { type: volume, source: data, mount: { Type: volume } }
actual
  state: running
  sha256: abababababab…
last actions
  #7, 60 s ago: ± replace done, 12.3 s  image: shop:0 → shop:1
overwritten by repairs
  1: #7, 60 s ago: 7 bytes of /etc/x
  \`fairlead show service:shop/web --overwritten 1\` prints them`);
});

test('show: of many overwritten snippets the newest are shown, and the others counted', () => {
  const [piece] = service.overwritten;
  const overwritten = [1, 2, 3, 4, 5].flatMap((n) => (piece ? [{ ...piece, n }] : []));
  expect(showText({ ...service, overwritten }, reader)).toContain('  3: #7, 60 s ago: 7 bytes of /etc/x\n  … 2 more\n');
});

test.each([
  ['failed', '2 runs alike: no'],
  ['synced', '2 runs with nothing to do: no'],
])('history: folded runs that were %s are labelled so', (sync, said) => {
  const run = {
    ...{ id: 14, quietFrom: 13, trigger: 'retry', startedAt: '2026-11-24T11:59:00Z', durationMs: 1, commit: null },
    ...{ changed: 0, failed: 0, repaired: 0, message: 'no', sync },
  };
  const text = historyText({ schema: 1, runs: [run] } as unknown as HistoryDocument, { ...reader, columns: 200 });
  expect(text).toContain(said);
});

test('events: each type is one line, and foreign text cannot move the cursor', () => {
  const of = (type: EventDocument['type'], data: Record<string, unknown>, run: number | null = 3) =>
    eventText(
      { schema: 1, host: 'a', fleet: 'f', id: 'x-1', seq: 1, at: '2026-11-24T08:01:02.000Z', type, run, data },
      style,
    );
  const resource = 'file:/etc/x';
  const why = [{ field: 'mode', from: '0600', to: '0644' }];
  expect(of('repair', { resource, op: 'update', why, result: 'done' })).toBe(
    '08:01:02Z  repair    #3  file:/etc/x  update done  mode: 0600 → 0644',
  );
  expect(of('change', { resource, op: 'create', why: [], result: 'failed', error: { code: 'E', message: 'no' } })).toBe(
    '08:01:02Z  change    #3  file:/etc/x  create failed  no [E]',
  );
  expect(of('drift', { resource, contended: true, count: 9, message: 'a fight' }, null)).toBe(
    '08:01:02Z  drift     file:/etc/x  a fight',
  );
  expect(of('drift', { resource: 'check:web', health: 'healthy', message: 'passes again' }, null)).toBe(
    '08:01:02Z  drift     check:web  healthy  passes again',
  );
  expect(of('gap', { count: 5 }, null)).toContain('5 events were dropped');
  expect(of('rollback', { from: 'a'.repeat(40), to: 'b'.repeat(40), message: '\u001b[2Jx' })).toBe(
    '08:01:02Z  rollback  #3  aaaaaaa → bbbbbbb  ·[2Jx',
  );
});

test('tables: no line is wider than the page, wide characters included; a table as wide as the page is not cut', () => {
  const word = fc.string({ unit: fc.constantFrom('a', 'B', 'é', '漢', '🚀', '-'), maxLength: 40 });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(word, word, word), { maxLength: 5 }),
      fc.integer({ min: 20, max: 200 }),
      (rows, columns) => {
        for (const line of table(['ONE', 'TWO', 'THREE'], rows, { columns, style }).split('\n'))
          expect(widthOf(line)).toBeLessThanOrEqual(columns);
        const whole = table(['ONE', 'TWO', 'THREE'], rows, { columns: Number.POSITIVE_INFINITY, style });
        for (const cell of rows.flat()) expect(whole).toContain(cell.trimEnd());
      },
    ),
  );
  expect(clip('漢字漢字', 5)).toBe('漢字…');
});

test('wrap: only a single long word makes a line longer than the limit; nothing is lost', () => {
  const text = fc.array(fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 9 }), { minLength: 1 });
  fc.assert(
    fc.property(text, fc.integer({ min: 20, max: 60 }), (words, columns) => {
      const wrapped = wrap(words.join(' '), columns, 4);
      for (const line of wrapped.split('\n')) expect(line.length).toBeLessThanOrEqual(columns);
      expect(wrapped.split(/\s+/)).toEqual(words);
    }),
  );
  expect(wrap(`${createStyle(true).red('a'.repeat(8))} b`, 10)).toContain('b');
  expect(wrap(`${createStyle(true).red('a'.repeat(8))} b`, 10).split('\n')).toHaveLength(1);
});
