/**
 * Files that are parsed or templated must be UTF-8, otherwise there is an error with file and place; files that are only
 * delivered arrive byte for byte.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type NotText, strictText } from '../../agent/core/strict-text.ts';
import { loadRepo, messages, type Repo } from './repo.ts';

const latin1 = (text: string) => new Uint8Array(Buffer.from(text, 'latin1'));
const COMPOSE = 'services: {web: {image: x}}\n';

/** The file that is not UTF-8, and the rest of the repository that makes somebody read it. */
const READ: [string, string, Repo][] = [
  ['hosts/a/m.yaml', 'files: {/etc/x: {content: "é"}}\n', {}],
  ['hosts/a/host.yaml', 'labels: {site: "Zürich"}\n', {}],
  ['fleet.yaml', 'name: "é"\n', {}],
  ['roles/r/role.yaml', 'vars: {a: "é"}\n', { 'hosts/a/host.yaml': 'roles: [r]\n' }],
  ['hosts/a/compose.yaml', `# é\n${COMPOSE}`, {}],
  ['hosts/a/shop/compose.override.yaml', `# é\n${COMPOSE}`, { 'hosts/a/shop/compose.yaml': COMPOSE }],
  ['hosts/a/shop/.env', 'A=é\n', { 'hosts/a/shop/compose.yaml': COMPOSE }],
  ['hosts/a/shop/x.env', 'A=é\n', { 'hosts/a/shop/compose.yaml': 'services: {web: {image: x, env_file: [x.env]}}\n' }],
  ['hosts/a/shop/x', 'A=é\n', { 'hosts/a/shop/compose.yaml': 'services: {web: {image: x, label_file: [x]}}\n' }],
  ['hosts/a/shop/p.yaml', `# é\n${COMPOSE}`, { 'hosts/a/shop/compose.yaml': 'include: [p.yaml]\n' }],
  [
    'hosts/a/shop/e.yaml',
    `# é\n${COMPOSE}`,
    { 'hosts/a/shop/compose.yaml': 'services: {web: {extends: {file: e.yaml, service: web}}}\n' },
  ],
  ['hosts/a/f/x.conf', 'é\n', { 'hosts/a/m.yaml': 'files: {/etc/x: {source: f/x.conf, template: true}}\n' }],
  ['hosts/a/f/x.conf', 'é\n', { 'hosts/a/m.yaml': 'files: {/etc/x: {source: f, template: true}}\n' }],
  [
    'hosts/a/f/part.liquid',
    'é\n',
    { 'hosts/a/m.yaml': 'files: {/etc/x: {content: "{% render \'f/part.liquid\' %}", template: true}}\n' },
  ],
  ['hosts/a/f/x.service', '# é\n[Service]\n', { 'hosts/a/m.yaml': 'units: {x.service: {source: f/x.service}}\n' }],
  [
    'hosts/a/f/x.conf',
    '# é\n[Service]\n',
    { 'hosts/a/m.yaml': 'units: {x.service: {dropins: {x.conf: {source: f/x.conf}}}}\n' },
  ],
];

test.each(READ)('%s (%j) is an error with its offset', async (file, text, more) => {
  const loaded = await loadRepo({ 'hosts/a/other.yaml': 'files: {}\n', ...more, [file]: latin1(text) });
  const offset = /[éü]/.exec(text)?.index;
  const said = messages(loaded).join('\n');
  expect(said).toMatch(new RegExp(`${file}: it is not UTF-8: byte 0x(E9|FC) at offset ${offset}; save it as UTF-8`));
  expect(JSON.stringify(loaded.resources)).not.toContain('\ufffd');
});

test('UTF-16 is named in the error', () => {
  expect(() => strictText(new Uint8Array(Buffer.from('\ufeffa', 'utf16le')))).toThrow(
    /offset 0, and it looks like UTF-16/,
  );
});

test('a file that is only delivered arrives byte for byte', async () => {
  const raw = new Uint8Array([0xe9, 0, 0xff, 0xfe, 13, 10]);
  const loaded = await loadRepo({
    'hosts/a/m.yaml': 'files: {/etc/x: {source: f/raw}, /etc/tree: {source: f}}\n',
    'hosts/a/f/raw': raw,
    'hosts/a/shop/compose.yaml':
      'services: {web: {image: x, volumes: ["./raw:/raw"], configs: [c]}}\nconfigs: {c: {file: ./conf}}\n',
    'hosts/a/shop/raw': raw,
    'hosts/a/shop/conf': raw,
  });
  expect(messages(loaded)).toEqual([]);
  const contents = loaded.resources.flatMap((r) => (r.spec as { content?: Uint8Array }).content ?? []);
  expect(contents.map((bytes) => [...bytes])).toEqual([1, 2, 3, 4].map(() => [...raw]));
});

describe('strictText', () => {
  test('returns the encoded text', () => {
    const text = fc.string({ unit: 'binary' }).filter((one) => one.isWellFormed() && !one.startsWith('\ufeff'));
    fc.assert(fc.property(text, (one) => strictText(new TextEncoder().encode(one)) === one));
  });

  test('reports the first byte that cannot belong to a text, whatever it is', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const lenient = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
        let wrong: NotText | null = null;
        try {
          strictText(bytes);
        } catch (thrown) {
          wrong = thrown as NotText;
        }
        if (wrong === null) {
          expect(Buffer.from(lenient).equals(Buffer.from(bytes))).toBe(true);
          return;
        }
        const before = bytes.subarray(0, wrong.offset);
        expect(Buffer.from(strictText(new Uint8Array([97, ...before])).slice(1)).equals(Buffer.from(before))).toBe(
          true,
        );
        expect(wrong.offset).toBeLessThan(bytes.length);
      }),
    );
  });
});
