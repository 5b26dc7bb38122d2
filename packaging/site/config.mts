/** The site of docs/: the same pages, sorted as docs/README.md sorts them, with a search that needs no server. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { defineConfig } from 'vitepress';

/** This file is built as .site/docs/.vitepress/config.mts, beside a copy of docs/. */
const DOCS = path.join(import.meta.dirname, '..');
const REPO = path.join(DOCS, '../..');
/** Files of the repository that pages link to; they are copied into the site. */
const linked = new Set<string>();

/** The sections of docs/README.md, each with the pages that it links to. */
function sidebar() {
  const contents = readFileSync(path.join(DOCS, 'README.md'), 'utf8');
  return contents
    .split(/^## /m)
    .slice(1)
    .map((section) => {
      const text = section.slice(0, section.indexOf('\n'));
      const files = [...section.matchAll(/\]\(([\w/-]+\.md)[)#]/g)].map(([, file = '']) => file);
      const items = [...new Set(files)].map((file) => ({ text: titleOf(file), link: `/${file.replace(/(README)?\.md$/, '')}` }));
      return { text, items };
    });
}

function titleOf(file: string): string {
  const heading = /^# (.+)$/m.exec(readFileSync(path.join(DOCS, file), 'utf8'))?.[1] ?? file;
  return heading.replaceAll('`', '');
}

export default defineConfig({
  title: 'fairlead',
  description: 'GitOps for hosts that run no Kubernetes',
  outDir: '../out',
  rewrites: { 'README.md': 'index.md', ':dir/README.md': ':dir/index.md' },
  cleanUrls: false,
  lastUpdated: false,
  themeConfig: {
    nav: [
      { text: 'Tutorial', link: '/tutorial' },
      { text: 'Recipes', link: '/recipes' },
      { text: 'Commands', link: '/commands' },
    ],
    sidebar: sidebar(),
    outline: [2, 3],
    search: { provider: 'local' },
  },
  markdown: {
    config(md) {
      // `{{ vars.x }}` on a page is Liquid of a manifest, and Vue must not take it for its own.
      for (const rule of ['code_inline', 'text'] as const) {
        const render = md.renderer.rules[rule];
        md.renderer.rules[rule] = (...args) => (render?.(...args) ?? '').replaceAll('{{', '&#123;&#123;');
      }
      md.core.ruler.push('repository-links', (state) => {
        const page = path.join(DOCS, (state.env as { relativePath?: string }).relativePath ?? '');
        for (const token of state.tokens.flatMap((t) => t.children ?? [])) {
          const href = token.type === 'link_open' ? token.attrGet('href') : null;
          if (!href || /^[a-z]+:|^#/.test(href)) continue;
          // A page of the copy links as its original in docs/ does.
          const inCopy = path.join(path.dirname(page), href.split('#')[0] ?? '');
          const file = path.join(REPO, 'docs', path.relative(DOCS, inCopy));
          if (!path.relative(DOCS, inCopy).startsWith('..') || !existsSync(file)) continue;
          linked.add(file);
          token.attrSet('href', `/repository/${path.relative(REPO, file)}`);
          token.attrSet('target', '_blank');
        }
      });
    },
  },
  buildEnd({ outDir }) {
    for (const file of linked) {
      if (!statSync(file).isFile()) continue;
      const target = path.join(outDir, 'repository', path.relative(REPO, file));
      mkdirSync(path.dirname(target), { recursive: true });
      copyFileSync(file, target);
    }
  },
});
