/** The recording of the demo: terminal output of a program becomes frames, and frames become one picture. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Chunk, framesOf, readScript } from '../../packaging/recording/frames.ts';
import { recordingSvg } from '../../packaging/recording/svg.ts';

const SIZE = { columns: 20, rows: 3 };
const chunk = (delayMs: number, text: string): Chunk => ({ delayMs, data: new TextEncoder().encode(text) });
const textOf = (rows: readonly (readonly { text: string }[])[] | undefined) =>
  rows?.map((runs) => runs.map(({ text }) => text).join('|'));

describe('frames', () => {
  test('contain the bytes of script(1) in order, without its header', () => {
    const bytes = new TextEncoder().encode('Script started\nabcde\nScript done\n');
    const chunks = readScript(bytes, '0.5 2\n0.25 3\n');
    expect(chunks.map(({ delayMs }) => delayMs)).toEqual([500, 250]);
    expect(chunks.map(({ data }) => new TextDecoder().decode(data))).toEqual(['ab', 'cde']);
  });

  test('show a redrawn line in its final state', async () => {
    const frames = await framesOf([chunk(0, 'pulling 1'), chunk(500, '\r\u001b[Kdone')], SIZE);
    expect(frames.map(({ rows }) => rows[0]?.map(({ text }) => text))).toEqual([['pulling 1'], ['done']]);
  });

  test('scroll as the terminal does', async () => {
    const [frame] = await framesOf([chunk(0, 'one\r\ntwo\r\nthree\r\nfour')], SIZE);
    expect(textOf(frame?.rows)).toEqual(['two', 'three', 'four']);
  });

  test('keep colours', async () => {
    const [frame] = await framesOf([chunk(0, '\u001b[1mhost\u001b[0m \u001b[32msynced\u001b[0m')], SIZE);
    expect(frame?.rows[0]).toEqual([
      { column: 0, text: 'host', bold: true, dim: false },
      { column: 5, text: 'synced', colour: 2, bold: false, dim: false },
    ]);
  });

  test('shorten a long pause, and merge what nobody can see apart', async () => {
    const frames = await framesOf([chunk(0, 'a'), chunk(10, 'b'), chunk(60_000, 'c')], SIZE);
    expect(frames.map(({ atMs, rows }) => [atMs, rows[0]?.[0]?.text])).toEqual([
      [10, 'ab'],
      [2010, 'abc'],
    ]);
  });
});

test('the picture writes equal rows once, and escapes the characters of a program', async () => {
  const frames = await framesOf([chunk(0, '<b>&\r\n'), chunk(500, 'more')], SIZE);
  const svg = recordingSvg({ frames, size: SIZE, title: 'a & b', description: 'd' });
  expect(svg.match(/&lt;b&gt;&amp;/g)).toHaveLength(1);
  expect(svg.match(/<use /g)).toHaveLength(3);
  expect(svg).toContain('<title id="t">a &amp; b</title>');
});

test('a colour is a class of the picture that its own rule for text does not override', async () => {
  const frames = await framesOf([chunk(0, '\u001b[31mfailed\u001b[0m')], SIZE);
  const svg = recordingSvg({ frames, size: SIZE, title: 't', description: 'd' });
  expect(svg).toMatch(/<text [^>]*class="c1"[^>]*>failed</);
  expect(svg).toMatch(/\.c1\{fill:#[0-9a-f]{6}\}/);
});

test('the picture in docs was written by the script, and shows each part of the demo', () => {
  const svg = readFileSync(path.join(import.meta.dirname, '../../docs/images/demo.svg'), 'utf8');
  expect(svg).toContain('npm run recording');
  for (const shown of ['$ fairlead plan', '$ fairlead sync', '$ fairlead history', '$ fairlead fleet status'])
    expect(svg).toContain(shown);
});
