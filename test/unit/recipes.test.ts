/** docs/recipes.md: each recipe, with the files of the page and those that it names, is a host that loads without a warning. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parseConfig } from '../../agent/config.ts';
import type { Secrets } from '../../agent/core/render/secret-values.ts';
import { find, loadRepo, messages } from './repo.ts';

const page = readFileSync(path.join(import.meta.dirname, '../../docs/recipes.md'), 'utf8');
const recipes = page
  .split(/^## /m)
  .slice(1)
  .map((text) => ({
    title: text.slice(0, text.indexOf('\n')),
    files: [...text.matchAll(/^```yaml\n# (\S+)\n([\s\S]*?)^```$/gm)].map(([, file = '', body = '']) => ({
      file,
      body,
    })),
    unnamed: [...text.matchAll(/^```yaml\n(?!# \S+\n)/gm)].length,
  }));

/** Files that a recipe names and a page does not show, by the directory that names them. */
function named(files: readonly { file: string; body: string }[]): Record<string, string> {
  return Object.fromEntries(
    files.flatMap(({ file, body }) =>
      [...body.matchAll(/(?:source: |file: \.\/)([\w./-]+\.\w+)/g)].map(([, name = '']) => [
        path.join(path.dirname(file), name),
        'what the page does not show\n',
      ]),
    ),
  );
}

/** Decrypts every file that is named as encrypted. */
const anySecrets: Secrets = {
  file: () => new TextEncoder().encode('plain'),
  names: () => [],
  value: () => 'plain',
};

test('there are recipes, and every file on the page has a name', () => {
  expect(recipes.length).toBeGreaterThan(12);
  expect(recipes.filter(({ unnamed, files }) => unnamed > 0 || files.length === 0)).toEqual([]);
});

test.each(recipes)('$title', async ({ files }) => {
  const settings = files.filter(({ file }) => file === 'agent.yaml');
  for (const { file, body } of settings) expect(parseConfig(file, body, 'edge-1').host).toBe('edge-1');
  const declared = files.filter(({ file }) => file !== 'agent.yaml');
  const repo = { ...named(declared), ...Object.fromEntries(declared.map(({ file, body }) => [file, body])) };
  const loaded = await loadRepo(repo, { hostPath: 'hosts/edge-1', decrypt: async () => anySecrets });
  expect(messages(loaded)).toEqual([]);
  expect(loaded.resources.length).toBeGreaterThan(0);
});

test('a local variable of the host reaches its files', async () => {
  const { files } = recipes.find(({ title }) => title.includes('values of its own')) ?? { files: [] };
  const repo = Object.fromEntries(
    files.filter(({ file }) => file !== 'agent.yaml').map(({ file, body }) => [file, body]),
  );
  const loaded = await loadRepo(repo, { hostPath: 'hosts/edge-1' });
  const content = find(loaded, 'file:/etc/till.conf')?.spec.content as Uint8Array;
  expect(new TextDecoder().decode(content)).toContain('number=4711\n');
});
