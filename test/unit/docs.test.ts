/**
 * docs/manifests.md, docs/secrets.md and the table of agent.yaml agree with the schemas: every block is valid, every key is
 * shown.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Secrets } from '../../agent/core/render/secret-values.ts';
import { agentConfig } from '../../manifests-schema/agent-config.ts';
import { check, unwrap } from '../../manifests-schema/check.ts';
import { fleetSettings } from '../../manifests-schema/fleet.ts';
import { hostSettings } from '../../manifests-schema/host.ts';
import { formatIssue } from '../../manifests-schema/issue.ts';
import { manifest } from '../../manifests-schema/manifest.ts';
import { FORMATS, OF_A_HOST } from '../../manifests-schema/notify.ts';
import { FORGES, relaySettings } from '../../manifests-schema/relay.ts';
import { roleSettings } from '../../manifests-schema/role.ts';
import { parseYaml } from '../../manifests-schema/yaml.ts';
import { loadRepo, messages } from './repo.ts';

const DOCS = path.join(import.meta.dirname, '../../docs');

interface Block {
  /** The block's name in the repository, from the comment in its first line. */
  file: string;
  text: string;
  at: string;
}

const blocks: Block[] = ['manifests.md', 'secrets.md'].flatMap((doc) => {
  const text = readFileSync(path.join(DOCS, doc), 'utf8');
  return [...text.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map((match) => {
    const body = match[1] ?? '';
    const line = text.slice(0, match.index).split('\n').length;
    return { file: /^# ((?:hosts|roles|fleet)\S*\.yaml)/m.exec(body)?.[1] ?? '', text: body, at: `${doc}:${line}` };
  });
});

const schemaOf = (file: string): [string, z.ZodType] => {
  const name = file.slice(file.lastIndexOf('/') + 1);
  if (name === 'fleet.yaml') return ['fleet', fleetSettings];
  if (name === 'role.yaml') return ['role', roleSettings];
  if (name === 'host.yaml') return ['host', hostSettings];
  return ['manifest', manifest];
};

/** `files.*.mode`, for every key of a schema. */
function keysOf(schema: z.core.$ZodType, at: string): string[] {
  const node = unwrap(schema);
  if (node instanceof z.ZodObject)
    return Object.entries(node.shape as Record<string, z.core.$ZodType>).flatMap(([key, value]) => [
      `${at}.${key}`,
      ...keysOf(value, `${at}.${key}`),
    ]);
  if (node instanceof z.ZodRecord) return keysOf(node.valueType as z.core.$ZodType, `${at}.*`);
  return [];
}

/** The same, for every key that a value uses. */
function used(schema: z.core.$ZodType, value: unknown, at: string): string[] {
  const node = unwrap(schema);
  if (typeof value !== 'object' || value === null) return [];
  const entries = Object.entries(value);
  if (node instanceof z.ZodObject)
    return entries.flatMap(([key, item]) => {
      const inner = (node.shape as Record<string, z.core.$ZodType>)[key];
      return inner ? [`${at}.${key}`, ...used(inner, item, `${at}.${key}`)] : [];
    });
  if (node instanceof z.ZodRecord)
    return entries.flatMap(([, item]) => used(node.valueType as z.core.$ZodType, item, `${at}.*`));
  return [];
}

test('every block names its file', () => {
  expect(blocks.length).toBeGreaterThan(12);
  expect(blocks.filter((b) => b.file === '').map((b) => b.at)).toEqual([]);
});

test.each(blocks)('$at is a valid $file', ({ file, text }) => {
  const parsed = parseYaml(file, text);
  expect(parsed.issues).toEqual([]);
  const checked = check(schemaOf(file)[1], parsed);
  expect(checked.ok ? [] : checked.issues.map(formatIssue)).toEqual([]);
});

/** Returns some value for each variable that a template reads. */
const anySecrets: Secrets = {
  file: () => new TextEncoder().encode('plain'),
  names: (file) => (file.endsWith('db.sops.yaml') ? ['db'] : ['api-token']),
  value: (file) => (file.endsWith('db.sops.yaml') ? { password: 'p' } : 't'),
};

/** Sections of Compose are checked by compose/, and two of these need files that a page cannot show. */
const manifests = blocks.filter((b) => schemaOf(b.file)[0] === 'manifest' && !b.file.endsWith('more-stack.yaml'));
test.each(manifests)('$at is a host that loads', async ({ file, text }) => {
  const sources = [...text.matchAll(/source: ([\w./-]+)/g)].map((m) => m[1] ?? '');
  const dir = file.slice(0, file.lastIndexOf('/'));
  const encrypted = [...text.matchAll(/[\w./-]+\.(?:sops\.env|age)\b/g)].map(([name]) => [path.join(dir, name), 'any']);
  const payload = sources.map((s) => [`${dir}/${s}${s.endsWith('conf.d') ? '/10.conf' : ''}`, 'payload\n']);
  const host = 'roles: [base]\nlabels: {site: berlin}\nvars: {workers: 4, db_host: db, upstreams: [a, b]}\n';
  const loaded = await loadRepo(
    {
      'hosts/edge-1/host.yaml': host,
      'hosts/edge-1/db.sops.yaml': 'any',
      'hosts/edge-1/api-token.age': 'any',
      'roles/base/motd.yaml': 'files: {/etc/motd: {content: x}, /etc/issue: {content: x}}\n',
      ...Object.fromEntries([...encrypted, ...payload]),
      [file]: text,
    },
    { hostPath: 'hosts/edge-1', decrypt: async () => anySecrets },
  );
  expect(messages(loaded)).toEqual([]);
});

describe('every key of a schema is shown', () => {
  test.each(['manifest', 'host', 'role', 'fleet'])('%s', (name) => {
    const schema = { manifest, host: hostSettings, role: roleSettings, fleet: fleetSettings }[name] as z.ZodType;
    const shown = new Set(
      blocks
        .filter((b) => schemaOf(b.file)[0] === name)
        .flatMap((b) => used(schema, parseYaml(b.file, b.text).value, name)),
    );
    expect(keysOf(schema, name).filter((key) => !shown.has(key))).toEqual([]);
  });
});

describe('the table of agent.yaml in docs/install.md', () => {
  const section =
    readFileSync(path.join(DOCS, 'install.md'), 'utf8').split('\n## agent.yaml\n')[1]?.split('\n## ')[0] ?? '';
  const rows = [...section.matchAll(/^\| (`[^|]+`) \|([^|]*)\|(.*)\|$/gm)].map(
    ([, names = '', value = '', text = '']) => {
      const [first = '', ...others] = [...names.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name);
      const prefix = first.slice(0, first.lastIndexOf('.') + 1);
      return { keys: [first, ...others.map((name) => prefix + name)], value: /^`(.*)`$/.exec(value.trim())?.[1], text };
    },
  );
  /** Keys of an object in braces are named in the text of the row. */
  const shown = rows.flatMap(({ keys, text }) => [
    ...keys,
    ...[...text.matchAll(/`\{([\w, ]+)\}`/g)].flatMap(([, list = '']) =>
      list.split(', ').map((name) => `${keys[0]}.${name}`),
    ),
  ]);
  const schema = keysOf(agentConfig, 'agent').map((key) => key.replace(/^agent\./, '').replace('.*', ''));

  test('has every key, and no other', () => {
    const groups = schema.filter((key) => schema.some((other) => other.startsWith(`${key}.`)));
    const leaves = schema.filter((key) => !groups.includes(key));
    expect(leaves.filter((key) => !shown.includes(key))).toEqual([]);
    expect(shown.filter((key) => !schema.includes(key))).toEqual([]);
  });

  test('has the defaults', () => {
    const parsed = agentConfig.parse({ repo: { url: 'x' }, mqtt: { url: 'mqtt://x' } });
    const defaultOf = (key: string) =>
      key.split('.').reduce<unknown>((at, part) => (at as Record<string, unknown> | undefined)?.[part], parsed);
    const said = rows.map(({ keys, value }) => [keys[0] ?? '', value]);
    const actual = rows.map(({ keys: [key = ''] }) => {
      const value = defaultOf(key);
      return [key, typeof value === 'string' && key !== 'repo.url' && key !== 'mqtt.url' ? value : undefined];
    });
    expect(said).toEqual(actual);
  });
});

describe('the glossary', () => {
  const first = readFileSync(path.join(DOCS, 'glossary.md'), 'utf8').split('\n## ')[0] ?? '';
  const words = [...first.matchAll(/^\| ([a-z ]+) \| [A-Z]/gm)].map(([, word = '']) => word);

  test('has few words, so that a newcomer can learn them all', () => {
    expect(words.length).toBeGreaterThan(15);
    expect(words.length).toBeLessThanOrEqual(25);
  });

  test('has each word once, in alphabetical order', () => {
    expect(words).toEqual([...new Set(words)].sort());
  });
});

test('every key has a description for editors', () => {
  const bare: string[] = [];
  const walk = (node: unknown, at: string): void => {
    if (typeof node !== 'object' || node === null) return;
    const { properties, anyOf, additionalProperties } = node as Record<string, unknown>;
    for (const [key, value] of Object.entries((properties as object | undefined) ?? {})) {
      const { description } = value as { description?: string };
      if (!description) bare.push(`${at}.${key}`);
      walk(value, `${at}.${key}`);
    }
    for (const item of (anyOf as unknown[] | undefined) ?? []) walk(item, at);
    walk(additionalProperties, `${at}.*`);
  };
  for (const name of ['manifest', 'host', 'role', 'fleet']) {
    const file = path.join(import.meta.dirname, `../../manifests-schema/json/${name}.schema.json`);
    walk(JSON.parse(readFileSync(file, 'utf8')), name);
  }
  expect(bare).toEqual([]);
});

describe('docs/notify.md and examples/relay', () => {
  const text = readFileSync(path.join(DOCS, 'notify.md'), 'utf8');
  const yamls = [...text.matchAll(/^```yaml\n# \/etc\/fairlead\/(\w+)\.yaml\n([\s\S]*?)^```$/gm)].map(
    ([, name = '', body = '']) => ({ name, body }),
  );
  const sample = readFileSync(path.join(DOCS, '../examples/relay/relay.yaml'), 'utf8');

  test('have valid settings', () => {
    expect(yamls.map(({ name }) => name)).toEqual(['agent', 'relay']);
    for (const { name, body } of [...yamls, { name: 'relay', body: sample }]) {
      const full = name === 'agent' ? `repo: {url: x}\n${body}` : body;
      const schema: z.ZodType = name === 'agent' ? agentConfig : relaySettings;
      const checked = check(schema, parseYaml(name, full));
      expect(checked.ok ? [] : checked.issues.map(formatIssue)).toEqual([]);
    }
  });

  test('name every format, occasion and forge', () => {
    for (const word of [...FORMATS, ...OF_A_HOST, ...FORGES]) expect(text).toContain(`| \`${word}\` |`);
  });

  test('give the unit every credential that the settings use', () => {
    const unit = readFileSync(path.join(DOCS, '../examples/relay/fairlead-relay.service'), 'utf8');
    const loaded = [...unit.matchAll(/^LoadCredential=(\w+):/gm)].map(([, name]) => name);
    const read = [...sample.matchAll(/fairlead-relay\.service\/(\w+)/g)].map(([, name]) => name);
    expect(loaded).toEqual(read);
  });
});
