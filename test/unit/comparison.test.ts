/** docs/comparison.md: every claim about another tool links to its source, at the version that was read. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

const page = readFileSync(path.join(import.meta.dirname, '../../docs/comparison.md'), 'utf8');
const table = page.split('\n## The short table\n')[1]?.split('\n## ')[0] ?? '';
const tools = [...table.matchAll(/^\| \[([^\]]+)\]\(#/gm)].map(([, name = '']) => name);
const sections = page
  .split(/^## /m)
  .slice(1)
  .map((text) => ({ title: text.slice(0, text.indexOf('\n')), text }))
  .filter(({ text }) => /^\| is \|/m.test(text));
const links = [...page.matchAll(/\]\[([\w-]+)\]/g)].map(([, name = '']) => name);
const sources = new Map([...page.matchAll(/^\[([\w-]+)\]: (\S+)$/gm)].map(([, name = '', url = '']) => [name, url]));

test('each tool of the table has a section', () => {
  expect(tools.length).toBe(10);
  const missing = tools.filter((name) => !sections.some(({ title }) => title.includes(name)));
  expect(missing).toEqual([]);
});

describe.each(sections)('$title', ({ text }) => {
  test('has a source for each row, except rows that say that nothing was found', () => {
    const rows = [...text.matchAll(/^\| ([a-zA-Z ]+) \| (.+) \|$/gm)].filter(([, name]) => name !== 'not found');
    expect(rows.length).toBeGreaterThan(3);
    expect(rows.filter(([, , claim = '']) => !/\]\[[\w-]+\]/.test(claim)).map(([row]) => row)).toEqual([]);
  });

  test('says where the tool is the better choice', () => {
    expect(text).toContain('**Better than fairlead**');
  });
});

test('docs/comparison.md lists exactly the sources that its claims name', () => {
  expect([...new Set(links)].sort()).toEqual([...sources.keys()].sort());
});

test('docs/comparison.md links a page in a repository at the commit that was read', () => {
  const loose = [...sources.values()].filter((url) => url.includes('/blob/') && !/\/blob\/[0-9a-f]{40}\//.test(url));
  expect(loose).toEqual([]);
});
