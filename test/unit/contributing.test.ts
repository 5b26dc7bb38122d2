/** Everything that the documents, hooks and workflows for contributors name exists: links, headings, npm scripts, files. */
import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';

const ROOT = path.join(import.meta.dirname, '../..');
const under = (dir: string): string[] =>
  readdirSync(path.join(ROOT, dir), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(ROOT, path.join(entry.parentPath, entry.name)))
    .sort();
const pages = [...readdirSync(ROOT), ...under('docs')].filter((file) => file.endsWith('.md'));
const sources = [...under('agent'), ...under('manifests-schema')].filter((file) => file.endsWith('.ts'));
const workflows = ['.githooks', '.github', '.ci'].flatMap(under);
const read = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');
const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };

/** `What runs already` → `what-runs-already`, as forges make anchors. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');

const anchorsOf = (file: string): string[] =>
  [...read(file).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => anchorOf(heading));

test('links between pages have targets', () => {
  expect(pages.length).toBeGreaterThan(20);
  const broken = pages.flatMap((page) =>
    [...read(page).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target = '']) => target)
      .filter((target) => !/^[a-z]+:/.test(target))
      .filter((target) => {
        const [name = '', anchor] = target.split('#');
        const file = name === '' ? page : path.join(path.dirname(page), name);
        if (!existsSync(path.join(ROOT, file))) return true;
        return anchor !== undefined && !anchorsOf(file).includes(anchor);
      })
      .map((target) => `${page} → ${target}`),
  );
  expect(broken).toEqual([]);
});

test('every npm script that a page, a hook or a workflow names exists', () => {
  const named = [...pages, ...workflows].flatMap((file) =>
    [...read(file).matchAll(/\bnpm run ([a-z][\w:-]*)/g)].map(([, name = '']) => ({ file, name })),
  );
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter(({ name }) => !(name in scripts))).toEqual([]);
});

test('a comment that cites a page and its heading cites an existing one', () => {
  const cited = sources.flatMap((file) =>
    [...read(file).matchAll(/(docs\/[\w/-]+\.md)(?:, "([^"]+)")?/g)].map(([, page = '', heading]) => ({
      file,
      page,
      heading,
    })),
  );
  expect(cited.length).toBeGreaterThan(5);
  const wrong = cited.filter(
    ({ page, heading }) =>
      !existsSync(path.join(ROOT, page)) || (heading !== undefined && !anchorsOf(page).includes(anchorOf(heading))),
  );
  expect(wrong).toEqual([]);
});

test('every decision is listed once, under its own title', () => {
  const decisions = pages.filter((file) => /^docs\/adr\/\d{4}-/.test(file));
  const listed = [...read('docs/adr/README.md').matchAll(/^\| \[(\d{4})\]\(([^)]+)\) \| (.+) \|$/gm)].map(
    ([, number = '', file = '', title = '']) => ({ file: `docs/adr/${file}`, heading: `# ${number} ${title}` }),
  );
  expect(listed).toEqual(decisions.map((file) => ({ file, heading: read(file).split('\n')[0] })));
});

test('the workflow is YAML whose jobs have steps and a time limit', () => {
  const { jobs } = parse(read('.github/workflows/ci.yml')) as {
    jobs: Record<string, { steps: unknown[]; 'timeout-minutes': number }>;
  };
  expect(Object.values(jobs).filter((job) => job.steps.length === 0 || !(job['timeout-minutes'] > 0))).toEqual([]);
});

test('the hooks are executable, and can be switched off', () => {
  for (const hook of ['pre-commit', 'commit-msg']) {
    expect(() => accessSync(path.join(ROOT, '.githooks', hook), constants.X_OK)).not.toThrow();
    expect(read(`.githooks/${hook}`)).toContain('--no-verify');
  }
});
