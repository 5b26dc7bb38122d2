/** Ciphertext is decrypted or refused on every route from the repository to the host, whatever the name of its file. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { beforeAll, describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { encryptionOf } from '../../agent/core/payload/encrypted.ts';
import { type Content, createPayload, type Payload, StoredFile } from '../../agent/core/payload/payload.ts';
import { readEnds, readWhole } from '../../agent/reading.ts';
import { encryptAge } from '../../agent/secrets/age.ts';
import { openSecrets } from '../../agent/secrets/open.ts';
import { decryptSops } from '../../agent/secrets/sops.ts';
import { iniLines } from '../../agent/secrets/sops-flat.ts';
import { standInSecrets } from '../../agent/secrets/stand-in.ts';
import { checkoutOf, find, loadCheckout, loadRepo, messages, type Repo, sha256 } from './repo.ts';
import { sopsDocument, sopsDotenv, sopsIni } from './sops-writer.ts';

const VALUE = 'hunter2-and-more';
let own: string;
let recipient: string;
/** Kind of file → its ciphertext. */
let sealed: Record<string, Uint8Array>;
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);

const binaryAge = (armored: string) => Buffer.from(armored.split('\n').slice(1, -2).join(''), 'base64');

beforeAll(async () => {
  own = await generateX25519Identity();
  recipient = await identityToRecipient(own);
  const recipients = [recipient];
  const age = await encryptAge(bytes(`PASSWORD=${VALUE}\n`), recipients);
  sealed = {
    dotenv: bytes(await sopsDotenv({ PASSWORD: VALUE }, { recipients, store: 'env' })),
    yaml: bytes(stringify(await sopsDocument({ password: VALUE }, { recipients }))),
    json: bytes(
      JSON.stringify(await sopsDocument({ password: VALUE, more: 1 }, { recipients, store: 'json' }), null, '\t'),
    ),
    ini: bytes(await sopsIni({ app: { password: VALUE } }, { recipients })),
    binary: bytes(
      JSON.stringify(await sopsDocument({ data: `PASSWORD=${VALUE}\n` }, { recipients, store: 'binary' }), null, '\t'),
    ),
    'age, armored': bytes(age),
    'age, binary': new Uint8Array(binaryAge(age)),
  };
});

/** File names for each kind of file, including the usual ones. */
const NAMES: [kind: string, name: string][] = [
  ['dotenv', '.env.prod'],
  ['dotenv', 'secret.env'],
  ['dotenv', 'settings'],
  ['dotenv', 'x.sops.env'],
  ['yaml', 'conf.yaml'],
  ['yaml', 'conf.yml.tmpl'],
  ['yaml', 'x.sops.yaml'],
  ['json', 'conf.json'],
  ['json', 'conf'],
  ['ini', 'app.ini'],
  ['ini', 'app.conf'],
  ['binary', 'tls.key'],
  ['binary', 'x.sops'],
  ['age, armored', 'tls.pem'],
  ['age, armored', 'token.age'],
  ['age, binary', 'token'],
  ['age, binary', 'x.age'],
];

const load = (repo: Repo, key = own) =>
  loadRepo(repo, {
    decrypt: (files, dirs) =>
      openSecrets(
        files,
        dirs,
        () => key,
        () => undefined,
      ),
  });

/** All bytes and texts that a host would receive. */
function delivered(loaded: Awaited<ReturnType<typeof load>>): string {
  const texts = (value: unknown): string[] => {
    if (value instanceof Uint8Array) return [text(value)];
    if (typeof value === 'string') return [value];
    return typeof value === 'object' && value !== null ? Object.values(value).flatMap(texts) : [];
  };
  return loaded.resources.flatMap((r) => texts(r.spec)).join('\n');
}

const service = (more: object, top: object = {}) =>
  stringify({ services: { web: { image: 'web:1', ...more } }, ...top });

/** Route → the files of a repository in which `name` takes that route. */
const WAYS: Record<string, (name: string) => Repo> = {
  'a single file that is mounted': (name) => ({
    'hosts/a/shop/compose.yaml': service({ volumes: [`./data/${name}:/x:ro`] }),
  }),
  'a mounted tree': (name) => ({
    'hosts/a/shop/compose.yaml': service({ volumes: ['./data:/data'] }),
    'hosts/a/shop/data/plain': name,
  }),
  'a config': (name) => ({
    'hosts/a/shop/compose.yaml': service({ configs: ['x'] }, { configs: { x: { file: `./data/${name}` } } }),
  }),
  'a secret': (name) => ({
    'hosts/a/shop/compose.yaml': service({ secrets: ['x'] }, { secrets: { x: { file: `./data/${name}` } } }),
  }),
  'a file': (name) => ({ 'hosts/a/m.yaml': `files: {/etc/x: {source: "shop/data/${name}"}}\n` }),
  'a mirrored tree': (name) => ({
    'hosts/a/m.yaml': 'files: {/etc/x: {source: shop/data}}\n',
    'hosts/a/shop/data/plain': name,
  }),
  'a template': (name) => ({
    'hosts/a/m.yaml': `files: {/etc/x: {source: "shop/data/${name}", template: true}}\n`,
  }),
};

describe.each(Object.keys(WAYS))('%s', (way) => {
  test.each(NAMES)('%s, called %s, is decrypted, and only root can read it', async (kind, name) => {
    const repo = { ...WAYS[way]?.(name), [`hosts/a/shop/data/${name}`]: sealed[kind] ?? '' };
    const loaded = await load(repo);
    expect(messages(loaded)).toEqual([]);
    expect(delivered(loaded)).toContain(VALUE);
    expect(delivered(loaded)).not.toMatch(/ENC\[|AGE ENCRYPTED|age-encryption/);
    expect(loaded.secrets).toEqual([`hosts/a/shop/data/${name}`]);
    const holding = loaded.resources.filter((r) => {
      const { content } = r.spec as { content?: Uint8Array };
      return content !== undefined && text(content).includes(VALUE);
    });
    expect(holding.map((r) => (r.spec as { secret?: boolean }).secret)).toEqual([true]);
    const [mode] = holding.map((r) => (r.spec as { mode: number }).mode.toString(8));
    expect(mode).toBe(way === 'a config' || way === 'a secret' ? '444' : '600');
    const plain = find(loaded, loaded.resources.find((r) => r.id.endsWith('/plain'))?.id ?? 'file:/none');
    if (plain) expect(plain.spec).toMatchObject({ secret: false, mode: 0o644 });
  });

  test('a file that this host cannot decrypt is refused by name', async () => {
    const repo = { ...WAYS[way]?.('conf'), 'hosts/a/shop/data/conf': sealed.json ?? '' };
    const loaded = await load(repo, await generateX25519Identity());
    expect(messages(loaded).join('\n')).toMatch(
      /hosts\/a\/shop\/data\/conf cannot be decrypted: it is not encrypted to this/,
    );
    expect(delivered(loaded)).not.toContain('ENC[');
  });

  test('a file without a recipient for age is refused with that reason', async () => {
    const { sops, ...rest } = parse(text(sealed.yaml ?? bytes('')));
    const pgp = stringify({ ...rest, sops: { ...sops, age: [], pgp: [{ fp: 'F00', enc: 'x' }] } });
    const loaded = await load({ ...WAYS[way]?.('conf.yaml'), 'hosts/a/shop/data/conf.yaml': pgp });
    expect(messages(loaded).join('\n')).toMatch(
      /hosts\/a\/shop\/data\/conf\.yaml cannot be read: it has no age recipients/,
    );
  });

  test('validation needs no key, and the file counts as used', async () => {
    const repo = { ...WAYS[way]?.('conf'), 'hosts/a/shop/data/conf': sealed.json ?? '' };
    const loaded = await loadRepo(repo, { decrypt: standInSecrets });
    expect(messages(loaded)).toEqual([]);
    expect(loaded.secrets).toEqual(['hosts/a/shop/data/conf']);
    expect(delivered(loaded)).not.toContain('ENC[');
  });
});

test("a warning is given if a container's user cannot read a file that was decrypted for root", async () => {
  const mounted = async (user: object) =>
    messages(
      await load({
        'hosts/a/shop/compose.yaml': service({ volumes: ['./data:/data'], ...user }),
        'hosts/a/shop/data/conf.yaml': sealed.yaml ?? '',
      }),
    );
  for (const user of [{}, { user: 'root' }, { user: '0:0' }]) expect(await mounted(user)).toEqual([]);
  expect(await mounted({ user: '1000:1000' })).toEqual([
    expect.stringMatching(
      /shop\/data\/conf\.yaml is decrypted for root alone, and this service runs as `user: 1000:1000`/,
    ),
  ]);
});

describe('variables', () => {
  const compose = service({
    environment: { FROM_DOTENV: '${PASSWORD}' },
    image: 'web:${TAG}',
    ports: ['127.0.0.1:${PORT}:80'],
    volumes: ['${DATA}/db:/db'],
    stop_grace_period: '${GRACE}',
  });
  const values = { PASSWORD: VALUE, TAG: '1.2', PORT: '8080', DATA: '/srv/shop', GRACE: '20s' };
  const dotenv = async () => sopsDotenv(values, { recipients: [recipient], store: 'env' });

  test('an encrypted .env is the environment of its stack', async () => {
    const loaded = await load({ 'hosts/a/shop/compose.yaml': compose, 'hosts/a/shop/.env': await dotenv() });
    expect(messages(loaded)).toEqual([]);
    expect(find(loaded, 'service:shop/web')?.spec).toMatchObject({
      environment: { FROM_DOTENV: VALUE },
      image: 'web:1.2',
    });
    expect(loaded.secrets).toEqual(['hosts/a/shop/.env']);
  });

  test('an .env encrypted with age is as well', async () => {
    const lines = Object.entries(values).map(([key, value]) => `${key}=${value}\n`);
    const env = await encryptAge(bytes(lines.join('')), [recipient]);
    const loaded = await load({ 'hosts/a/shop/compose.yaml': compose, 'hosts/a/shop/.env': env });
    expect(messages(loaded)).toEqual([]);
    expect(delivered(loaded)).toContain(VALUE);
    const offline = await loadRepo(
      { 'hosts/a/shop/compose.yaml': service({ image: 'web:${TAG:?}' }), 'hosts/a/shop/.env': env },
      { decrypt: standInSecrets },
    );
    expect(offline.issues.filter((i) => i.severity === 'error')).toEqual([]);
  });

  test('an .env that this host cannot decrypt is the only error', async () => {
    const repo = { 'hosts/a/shop/compose.yaml': compose, 'hosts/a/shop/.env': await dotenv() };
    expect(messages(await load(repo, await generateX25519Identity()))).toEqual([
      expect.stringMatching(/^hosts\/a\/shop\/\.env:1:1: hosts\/a\/shop\/\.env cannot be decrypted/),
    ]);
  });

  test('without a key, only errors that do not depend on the values are reported', async () => {
    const offline = async (text: string) =>
      messages(
        await loadRepo(
          { 'hosts/a/shop/compose.yaml': text, 'hosts/a/shop/.env': await dotenv() },
          { decrypt: standInSecrets },
        ),
      );
    expect(await offline(compose)).toEqual([]);
    expect(await offline(compose.replace('image:', 'imag:'))).toEqual([expect.stringContaining('imag')]);
  });

  test.each(['dotenv', 'age, armored', 'binary'])('env_file: %s', async (kind) => {
    const repo = {
      'hosts/a/shop/compose.yaml': service({ env_file: ['./secret'] }),
      'hosts/a/shop/secret': sealed[kind] ?? '',
    };
    const loaded = await load(repo);
    expect(messages(loaded)).toEqual([]);
    expect(find(loaded, 'service:shop/web')?.spec.environment).toEqual({ PASSWORD: VALUE });
    expect(messages(await loadRepo(repo, { decrypt: standInSecrets }))).toEqual([]);
  });

  test('label_file, and the .env of an included stack', async () => {
    const loaded = await load({
      'hosts/a/shop/compose.yaml': `include: [sub/compose.part.yaml]\n${service({ label_file: ['./labels'] })}`,
      'hosts/a/shop/labels': sealed.dotenv ?? '',
      'hosts/a/shop/sub/compose.part.yaml': 'services: {other: {image: x, environment: {A: "${PASSWORD}"}}}\n',
      'hosts/a/shop/sub/.env': sealed.dotenv ?? '',
    });
    expect(messages(loaded)).toEqual([]);
    expect(find(loaded, 'service:shop/web')?.spec.labels).toMatchObject({ PASSWORD: VALUE });
    expect(find(loaded, 'service:shop/other')?.spec.environment).toEqual({ A: VALUE });
  });
});

describe('files that fairlead itself reads must be plain', () => {
  const { stringify: yaml } = { stringify };
  const seal = async (value: Parameters<typeof sopsDocument>[0]) =>
    yaml(await sopsDocument(value, { recipients: [recipient] }));
  test.each([
    ['hosts/a/host.yaml', { roles: ['r'] }],
    ['hosts/a/role.yaml', { vars: { a: 'b' } }],
    ['fleet.yaml', { name: 'x' }],
    ['hosts/a/compose.yaml', { services: { web: { image: 'x' } } }],
    ['hosts/a/shop/docker-compose.yml', { services: { web: { image: 'x' } } }],
    ['hosts/a/system.yaml', { files: { '/etc/x': { content: 'x' } } }],
  ] as const)('%s', async (file, value) => {
    const loaded = await load({
      [file]: await seal(value as never),
      'hosts/a/x.yaml': 'files: {/etc/y: {content: y}}\n',
    });
    if (file !== 'hosts/a/role.yaml')
      expect(messages(loaded).join('\n')).toMatch(new RegExp(`${file} is encrypted, but .* without a key`));
    expect(loaded.issues.length).toBeGreaterThan(0);
  });

  test('included and extended files', async () => {
    const part = await seal({ services: { base: { image: 'x' } } });
    for (const text of [
      'include: [part.yaml]\nservices: {web: {image: x}}\n',
      'services: {web: {extends: {file: part.yaml, service: base}}}\n',
    ])
      expect(
        messages(await load({ 'hosts/a/shop/compose.yaml': text, 'hosts/a/shop/part.yaml': part })).join('\n'),
      ).toMatch(/part\.yaml is encrypted, but compose files are read without a key/);
  });

  test('a file of values beside the manifests is not a manifest, and its values are secrets', async () => {
    const loaded = await load({
      'hosts/a/config.yaml': await seal({ db: { password: VALUE }, secrets: { a: 'b' } }),
      'hosts/a/m.yaml': 'files: {/etc/x: {content: "{{ secrets.db.password }}", template: true}}\n',
    });
    expect(messages(loaded)).toEqual([]);
    expect(find(loaded, 'file:/etc/x')?.spec).toMatchObject({ secret: true, mode: 0o600 });
  });
});

describe('decrypt: false delivers the content of git', () => {
  const expectKept = async (repo: Repo) => {
    const loaded = await load({ ...repo, 'hosts/a/shop/data/conf.yaml': sealed.yaml ?? '' });
    expect(messages(loaded)).toEqual([]);
    expect(delivered(loaded)).not.toContain(VALUE);
    expect(delivered(loaded)).toContain('ENC[');
    expect(loaded.secrets).toEqual([]);
    const kept = loaded.resources.find((r) => r.id.endsWith('conf.yaml') || r.id === 'file:/etc/x');
    expect(kept?.spec).toMatchObject({ secret: false, mode: 0o644 });
  };
  test.each<[string, Repo]>([
    ['a file', { 'hosts/a/m.yaml': 'files: {/etc/x: {source: shop/data/conf.yaml, decrypt: false}}\n' }],
    ['a tree', { 'hosts/a/m.yaml': 'files: {/etc: {source: shop/data, decrypt: false}}\n' }],
    ['a part of a tree', { 'hosts/a/m.yaml': 'files: {/etc: {source: shop, decrypt: {"data/**": false}}}\n' }],
    [
      'a manifest',
      { 'hosts/a/m.yaml': 'x-fairlead: {decrypt: {"shop/**": false}}\nfiles: {/etc: {source: shop/data}}\n' },
    ],
    [
      'a config',
      {
        'hosts/a/shop/compose.yaml': service(
          { configs: ['x'] },
          { configs: { x: { file: './data/conf.yaml', 'x-fairlead': { decrypt: false } } } },
        ),
      },
    ],
    [
      'a secret',
      {
        'hosts/a/shop/compose.yaml': service(
          { secrets: ['x'] },
          { secrets: { x: { file: './data/conf.yaml', 'x-fairlead': { decrypt: false } } } },
        ),
      },
    ],
    [
      'a stack',
      {
        'hosts/a/shop/compose.yaml': service(
          { volumes: ['./data:/data'] },
          { 'x-fairlead': { decrypt: { 'data/**': false } } },
        ),
      },
    ],
  ])('at %s', async (_, repo) => expectKept(repo));

  test('even if this host has no key for it', async () => {
    const loaded = await load(
      {
        'hosts/a/shop/compose.yaml': service(
          { volumes: ['./data:/data'] },
          { 'x-fairlead': { decrypt: { 'data/*.yaml': false } } },
        ),
        'hosts/a/shop/data/conf.yaml': sealed.yaml ?? '',
      },
      await generateX25519Identity(),
    );
    expect(messages(loaded)).toEqual([]);
  });

  test('the expected format is named', async () => {
    const top = (decrypt: unknown) => service({}, { 'x-fairlead': { decrypt } });
    expect(messages(await load({ 'hosts/a/compose.yaml': top('no') }))).toEqual([
      expect.stringMatching(/`decrypt` must have patterns of paths with `false`/),
    ]);
  });
});

test('a large file is recognized by its first and last bytes, and read completely only if it is encrypted', async () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'large-'));
  const large = 'x'.repeat(1_500_000);
  const contents: Record<string, string> = {
    age: await encryptAge(bytes(large), [recipient]),
    sops: JSON.stringify(await sopsDocument({ data: large }, { recipients: [recipient], store: 'binary' }), null, '\t'),
    plain: large,
  };
  const stored = Object.entries(contents).map(([name, content]): [string, Content] => {
    const place = path.join(dir, name);
    writeFileSync(place, content);
    return [`hosts/a/files/${name}`, new StoredFile(place, content.length, sha256(bytes(content)))];
  });
  const read: string[] = [];
  const given = checkoutOf({ 'hosts/a/m.yaml': 'files: {/srv/x: {source: files}}\n' });
  const files = createPayload(new Map<string, Content>([...given.files, ...stored]), {
    read(place) {
      read.push(path.basename(place));
      return readWhole(place);
    },
    readEnds,
    sha256,
  });
  const decrypt = (all: Payload, dirs: readonly string[]) =>
    openSecrets(
      all,
      dirs,
      () => own,
      () => undefined,
    );
  const loaded = await loadCheckout({ ...given, files }, { decrypt });
  expect(messages(loaded)).toEqual([]);
  for (const name of ['age', 'sops']) {
    const spec = find(loaded, `file:/srv/x/${name}`)?.spec as { secret: boolean; mode: number; content: Uint8Array };
    expect([spec.secret, spec.mode, text(spec.content) === large]).toEqual([true, 0o600, true]);
  }
  expect(read).not.toContain('plain');
});

test('values of an ini file lose their quotes, and triple-quoted values span lines', () => {
  const lines = [...iniLines('top = 1\n; c\n[a]\nk = """x\ny"""\nq = `#1`\nz: "2"\n')];
  expect(lines.map(({ section, key, value }) => [section, key, value])).toEqual([
    ['DEFAULT', 'top', '1'],
    ['a', null, ''],
    ['a', 'k', 'x\ny'],
    ['a', 'q', '#1'],
    ['a', 'z', '2'],
  ]);
});

test('a file that imitates an encrypted file is recognized in bounded time', () => {
  const seal = 'sops:\nENC[AES256_GCM,\n[sops]\nsops_mac\n';
  for (const filler of ['\n', ' ', 'mac', 'mac: ', '"sops"', '[sops]\n', 'a=\n'])
    for (const name of ['x', 'x.yaml', 'x.ini', '.env', 'x.json'])
      expect(['sops', 'age', null]).toContain(encryptionOf(name, bytes(seal + filler.repeat(300_000))));
});

test('prose and settings that quote an encrypted file are plain', () => {
  for (const kind of ['dotenv', 'yaml', 'ini', 'json', 'age, armored'])
    expect(
      encryptionOf('README.md', bytes(`# How\n\nSuch a file looks like this:\n\n${text(sealed[kind] ?? bytes(''))}`)),
    ).toBeNull();
  expect(encryptionOf('creation.yaml', bytes('creation_rules:\n  - age: age1x\n'))).toBeNull();
  expect(encryptionOf('x.yaml', bytes('sops:\n  mac: none\n'))).toBeNull();
});

test('a binary that SOPS encrypted is restored byte for byte, and cannot be used as a secret in templates', async () => {
  const raw = new Uint8Array([0, 255, 254, 13, 10, 200, 0]);
  const { bytes: opened } = await decryptSops('key.p12', await sopsBinary(raw), own);
  expect([...opened]).toEqual([...raw]);
  const loaded = await load({
    'hosts/a/key.p12': await sopsBinary(raw),
    'hosts/a/m.yaml':
      'files:\n  /etc/key: {source: key.p12}\n  /etc/x: {content: "{{ secrets[\'key.p12\'] }}", template: true}\n',
  });
  expect(messages(loaded)).toEqual([expect.stringMatching(/key\.p12, once decrypted, is no text: it is not UTF-8/)]);
});

async function sopsBinary(raw: Uint8Array): Promise<Uint8Array> {
  return bytes(
    JSON.stringify(await sopsDocument({ data: raw as never }, { recipients: [recipient], store: 'binary' })),
  );
}
