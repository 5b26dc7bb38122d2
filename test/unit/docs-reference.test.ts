/** Each reference is on one page, which agrees with the code, and the entry page leads to every page. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { SHELVES } from '../../agent/fleet/relay/turns.ts';
import { topicsOf } from '../../agent/report/mqtt/topics.ts';
import { commandsPage } from '../../packaging/commands.ts';

const DOCS = path.join(import.meta.dirname, '../../docs');
const read = (file: string): string => readFileSync(path.join(DOCS, file), 'utf8');

test("docs/commands.md equals the program's help (`npm run commands` writes it)", () => {
  expect(read('commands.md')).toBe(commandsPage());
});

describe('the table of topics in docs/reporting.md', () => {
  const table = read('reporting.md').split('\n## ')[0] ?? '';
  const listed = [...table.matchAll(/^\| (`.+?`) \| (?:yes|no) \|/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, topic = '']) => topic),
  );
  const { index, presence, ask, answers, events, commands, replies, notices, retained } = topicsOf({
    prefix: 'p',
    fleet: 'f',
    host: 'edge-1',
    ref: 'main',
  });
  const documents = ['status', 'resources', 'history', 'metrics'].map(retained);
  const used = [index, presence, ask, answers, events, ...commands, replies, notices, ...documents].map((topic) =>
    topic
      .replace('p/f/', '')
      .replace(/^index\/[0-9a-f]{2}\//, 'index/<00…ff>/')
      .replace('edge-1', '<host>')
      .replace(/^refs\/main$/, 'refs/<ref, percent-encoded>')
      .replace(/^replies$/, 'replies/…'),
  );

  test('has every topic of a host', () => {
    expect(used.filter((topic) => !listed.includes(topic))).toEqual([]);
  });

  test('has each topic once, and no unused topic', () => {
    const ofRelays = ['lease', ...SHELVES].map((name) => `relay/${name}`);
    expect([...listed].sort()).toEqual([...used, ...ofRelays].sort());
  });
});

test('every page is in the table of contents', () => {
  const listed = [...read('README.md').matchAll(/\]\(([\w/-]+\.md)/g)].map(([, file = '']) => file);
  const pages = readdirSync(DOCS, { encoding: 'utf8' }).filter((file) => file.endsWith('.md') && file !== 'README.md');
  expect(pages.filter((page) => !listed.includes(page))).toEqual([]);
});
