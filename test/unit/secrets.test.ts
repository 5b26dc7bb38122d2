import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import fc from 'fast-check';
import { decryptSops as otherReader } from 'sops-age';
import { beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { AgentError } from '../../agent/errors.ts';
import { decryptAge, encryptAge, readAgeHeader } from '../../agent/secrets/age.ts';
import { createAutomaton } from '../../agent/secrets/automaton.ts';
import { valuesIn } from '../../agent/secrets/forms.ts';
import { loadIdentity, loadKeyedHash } from '../../agent/secrets/identity.ts';
import { openSecrets } from '../../agent/secrets/open.ts';
import { LEAST_PIECE } from '../../agent/secrets/pieces.ts';
import { createRedactor } from '../../agent/secrets/redact.ts';
import { decryptSops } from '../../agent/secrets/sops.ts';
import { readOrCreate } from '../../agent/store/disk/private-file.ts';
import { tame } from '../../agent/tame.ts';
import { find, loadRepo, messages, type Repo, textOf } from './repo.ts';
import { sopsDocument, sopsDotenv } from './sops-writer.ts';

let own: string;
let recipient: string;
let other: string;
beforeAll(async () => {
  own = await generateX25519Identity();
  recipient = await identityToRecipient(own);
  other = await identityToRecipient(await generateX25519Identity());
});
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);

const sample = {
  db: { password: 'p&ss "word"\nline', port: 5432, ratio: 0.25, on: true, off: false, empty: '', none: null },
  list: ['one', 'two', { three: 3 }],
  note_unencrypted: 'readable',
  '10': 'ten',
  '2': 'two',
};

describe('SOPS', () => {
  test.each([
    ['yaml', (d: object) => stringify(d), false],
    ['yaml', (d: object) => stringify(d), true],
    ['json', (d: object) => JSON.stringify(d, null, '\t'), false],
  ] as const)('%s (mac_only_encrypted %s)', async (store, write, macOnlyEncrypted) => {
    const document = write(await sopsDocument(sample, { recipients: [other, recipient], macOnlyEncrypted, store }));
    const { values, sealed } = await decryptSops(`x.sops.${store}`, bytes(document), own);
    expect(values).toEqual(sample);
    expect(sealed).toContain('p&ss "word"\nline');
    expect(sealed).not.toContain('readable');
  });

  test('env and binary', async () => {
    const env = await sopsDotenv({ A: 'one', B: 'two\nlines', EMPTY: '' }, { recipients: [recipient], store: 'env' });
    const opened = await decryptSops('x.sops.env', bytes(env), own);
    expect(opened.values).toEqual({ A: 'one', B: 'two\nlines', EMPTY: '' });
    expect(text(opened.bytes)).toBe('A=one\nB=two\\nlines\nEMPTY=\n');
    const binary = JSON.stringify(
      await sopsDocument({ data: 'any\nbytes' }, { recipients: [recipient], store: 'binary' }),
    );
    expect(text((await decryptSops('key.sops', bytes(binary), own)).bytes)).toBe('any\nbytes');
  });

  test('another reader of the format reads the files that these tests write', async () => {
    const { db, list } = sample;
    const simple = { db: { password: db.password, port: db.port, on: true }, list: ['one', 'two'] };
    const yaml = stringify(await sopsDocument(simple, { recipients: [recipient] }));
    expect(list.length).toBe(3);
    expect(await otherReader(yaml, { fileType: 'yaml', secretKey: own })).toEqual(simple);
  });

  test('every alteration is detected', async () => {
    const sealed = await sopsDocument({ a: 'first', b: 'second', c_unencrypted: 'x' }, { recipients: [recipient] });
    const refuse = (change: object, why: RegExp) =>
      expect(decryptSops('x.sops.yaml', bytes(stringify({ ...sealed, ...change })), own)).rejects.toThrow(why);
    await refuse({ a: sealed.b }, /`a` was altered/);
    await refuse({ a: undefined }, /MAC does not fit/);
    await refuse({ a: 'plain' }, /MAC does not fit/);
    await refuse({ c_unencrypted: 'y' }, /MAC does not fit/);
    await refuse({ extra: 'added' }, /MAC does not fit/);
    await refuse({ sops: { ...sealed.sops, lastmodified: '2027-01-01T00:00:00Z' } }, /MAC does not fit/);
    await refuse({ sops: { ...sealed.sops, mac: '' } }, /no MAC/);
    await refuse({ sops: { ...sealed.sops, mac_only_encrypted: true } }, /MAC does not fit/);
    await refuse({ sops: undefined }, /no `sops` section/);
    await refuse({ sops: { ...sealed.sops, age: [] } }, /no age recipients/);
    const { a, b, ...rest } = sealed;
    await expect(decryptSops('x.sops.yaml', bytes(stringify({ b, a, ...rest })), own)).rejects.toThrow(
      /MAC does not fit/,
    );
  });

  test('any values survive a round trip', async () => {
    const leaf = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null));
    const keys = fc.stringMatching(/^[a-z0-9]{1,8}$/).filter((k) => k !== 'sops');
    const tree = fc.dictionary(keys, fc.oneof(leaf, fc.array(leaf, { maxLength: 4 }), fc.dictionary(keys, leaf)), {
      minKeys: 1,
      maxKeys: 6,
    });
    await fc.assert(
      fc.asyncProperty(tree, async (value) => {
        const document = stringify(await sopsDocument(value as never, { recipients: [recipient] }));
        expect((await decryptSops('x.sops.yaml', bytes(document), own)).values).toEqual({ ...value });
      }),
      { numRuns: 25 },
    );
  });
});

describe('age', () => {
  test('records its recipients, and the record cannot be altered unnoticed', async () => {
    const file = await encryptAge(bytes('x'), [recipient, other]);
    expect(await readAgeHeader(bytes(file))).toEqual({ noted: [recipient, other], keys: 2 });
    const binary = Buffer.from(file.split('\n').slice(1, -2).join(''), 'base64').toString('latin1');
    expect(binary).toContain(recipient);
    const altered = Buffer.from(binary.replace(recipient, other), 'latin1');
    await expect(decryptAge(altered, own)).rejects.toThrow(/damaged/);
    await expect(decryptAge(bytes('plain'), own)).rejects.toThrow(/damaged/);
    await expect(readAgeHeader(bytes('plain'))).rejects.toThrow(/not an age file/);
  });
});

test('the identity and the hash key are created once, readable only for root', async () => {
  const dir = path.join(mkdtempSync(path.join(os.tmpdir(), 'fairlead-id-')), 'state');
  const [one, two] = [await loadIdentity(dir, readOrCreate), await loadIdentity(dir, readOrCreate)];
  expect(one.secretKey()).toBe(two.secretKey());
  expect(await one.recipient()).toMatch(/^age1/);
  expect(loadKeyedHash(dir, readOrCreate)(bytes('x'))).toBe(loadKeyedHash(dir, readOrCreate)(bytes('x')));
  for (const file of ['age.key', 'hash.key']) expect(statSync(path.join(dir, file)).mode & 0o777).toBe(0o600);
  writeFileSync(path.join(dir, 'age.key'), 'rubbish\n');
  const damaged = await loadIdentity(dir, readOrCreate);
  expect(() => damaged.secretKey()).toThrow(/age\.key is not an age identity/);
  await expect(damaged.recipient()).rejects.toThrow(/age\.key is not an age identity/);
  expect(readFileSync(path.join(dir, 'age.key'), 'utf8')).toBe('rubbish\n');
  rmSync(path.dirname(dir), { recursive: true });
});

describe('secrets in a host', () => {
  /** Another host's keyed hash. */
  const otherHash = (bytes: Uint8Array) => `other ${bytes.length}`;
  const load = (repo: Repo, found: string[] = [], key = own, keyedHash?: typeof otherHash) =>
    loadRepo(repo, {
      decrypt: (files, dirs) =>
        openSecrets(
          files,
          dirs,
          () => key,
          (s) => found.push(s),
        ),
      ...(keyedHash && { keyedHash }),
    });
  const repoOf = async (): Promise<Record<string, string>> => ({
    'hosts/a/host.yaml': 'roles: [r]\n',
    'roles/r/db.sops.yaml': stringify(
      await sopsDocument({ db: { password: 'from role' }, only: 'role' }, { recipients: [recipient] }),
    ),
    'hosts/a/host.sops.yaml': stringify(
      await sopsDocument({ db: { password: 'hunter2' } }, { recipients: [recipient] }),
    ),
    'hosts/a/token.age': await encryptAge(bytes('t0ken\n'), [recipient]),
    'hosts/a/files/tls.key.age': await encryptAge(bytes('-----KEY-----\n'), [recipient]),
    'hosts/a/.sops.yaml': 'creation_rules: []\n',
    'hosts/a/x.yaml':
      'files:\n  /etc/db: {content: "{{ secrets.db.password }} {{ secrets.only }} {{ secrets.token }}", template: true}\n  /etc/key: {source: files/tls.key.age}\n  /etc/open: {content: open}\nunits:\n  x.service: {content: "[Service]\\nSetCredentialEncrypted=p:{{ secrets.token }}\\n", template: true}\n',
  });

  test('reach templates and files; a file with a secret is marked, hashed with the host’s key, and readable only for root', async () => {
    const found: string[] = [];
    const loaded = await load(await repoOf(), found);
    expect(messages(loaded)).toEqual([]);
    expect(textOf(loaded, 'file:/etc/db')).toBe('hunter2 role t0ken');
    expect(textOf(loaded, 'file:/etc/key')).toBe('-----KEY-----\n');
    expect(find(loaded, 'file:/etc/db')?.spec).toMatchObject({ secret: true, mode: 0o600 });
    expect(find(loaded, 'file:/etc/key')?.spec.secret).toBe(true);
    expect(find(loaded, 'unit:x.service')?.spec.secret).toBe(true);
    expect(find(loaded, 'file:/etc/open')?.spec).toMatchObject({ secret: false, mode: 0o644 });
    expect(found).toEqual(expect.arrayContaining(['hunter2', 't0ken', 'role']));
    const again = await load(await repoOf(), [], own, otherHash);
    for (const id of ['file:/etc/db', 'unit:x.service']) expect(find(again, id)?.hash).not.toBe(find(loaded, id)?.hash);
    expect(find(again, 'file:/etc/open')?.hash).toBe(find(loaded, 'file:/etc/open')?.hash);
  });

  test('a missing key is an error if the secret is used, and none otherwise', async () => {
    const stranger = await generateX25519Identity();
    const repo = await repoOf();
    expect(messages(await load(repo, [], stranger))).toEqual([
      expect.stringMatching(
        /^hosts\/a\/x\.yaml:2:\d+: template: hosts\/a\/host\.sops\.yaml cannot be decrypted: it is not encrypted to this host \(age1\w+\); put that recipient into host\.yaml .*sops updatekeys/,
      ),
      expect.stringMatching(
        /^hosts\/a\/x\.yaml:3:\d+: hosts\/a\/files\/tls\.key\.age cannot be decrypted: it is not encrypted to this host/,
      ),
      expect.stringMatching(
        /^hosts\/a\/x\.yaml:6:\d+: template: hosts\/a\/token\.age cannot be decrypted: it is not encrypted to this host/,
      ),
    ]);
    expect(
      messages(await load({ ...repo, 'hosts/a/x.yaml': 'files: {/etc/open: {content: open}}\n' }, [], stranger)),
    ).toEqual([]);
  });

  test('are never shown in an error', async () => {
    const repo = await repoOf();
    const loaded = await load({
      ...repo,
      'hosts/a/x.yaml':
        'files: {/etc/x: {content: "{{ secrets.db.password.x }}{{ secrets.only | divided_by: secrets.db }}", template: true}}\n',
    });
    expect(loaded.issues.length).toBe(1);
    expect(JSON.stringify(loaded.issues)).not.toContain('hunter2');
  });

  test('reach `env_file` of a stack, whose hash is then keyed; a missing key is an error', async () => {
    const env = await sopsDotenv({ PASSWORD: 'hunter2' }, { recipients: [recipient], store: 'env' });
    const repo = {
      'hosts/a/shop/compose.yaml':
        'services: {web: {image: "web:1", env_file: [db.sops.env]}, open: {image: "web:1"}}\n',
      'hosts/a/shop/db.sops.env': env,
    };
    const loaded = await load(repo);
    expect(messages(loaded)).toEqual([]);
    expect(find(loaded, 'service:shop/web')?.spec.environment).toEqual({ PASSWORD: 'hunter2' });
    expect(loaded.secrets).toEqual(['hosts/a/shop/db.sops.env']);
    const other = await load(repo, [], own, otherHash);
    expect(find(other, 'service:shop/web')?.hash).not.toBe(find(loaded, 'service:shop/web')?.hash);
    expect(messages(await load(repo, [], await generateX25519Identity()))).toEqual([
      expect.stringMatching(
        /^hosts\/a\/shop\/db\.sops\.env:1:1: .* cannot be decrypted: it is not encrypted to this host/,
      ),
    ]);
  });

  test('that are no SOPS file, or that two files of a layer define, are errors', async () => {
    const repo = await repoOf();
    const loaded = await load({
      ...repo,
      'hosts/a/bad.sops.yaml': 'a: b\n',
      'hosts/a/db.age': repo['hosts/a/token.age'] ?? '',
    });
    expect(messages(loaded).sort()).toEqual([
      'hosts/a/bad.sops.yaml:1:1: hosts/a/bad.sops.yaml cannot be read: it has no `sops` section, so it is not encrypted; encrypt it with `sops --encrypt`',
      'hosts/a/host.sops.yaml:1:1: secret `db` is in hosts/a/db.age too; keep one of them',
    ]);
  });
});

describe('the redactor', () => {
  test('masks a secret in every encoding that programs use, and nothing else', () => {
    const redactor = createRedactor();
    const secret = `pa'ss"wörd\\x&y z`;
    redactor.add(secret);
    const raw = Buffer.from(secret);
    const forms = [
      secret,
      JSON.stringify(secret),
      encodeURIComponent(secret),
      secret.replaceAll("'", "''"),
      secret.replaceAll("'", "'\\''"),
      raw.toString('hex'),
      ...['', 'x', 'xy'].map((before) => Buffer.from(`${before}${secret}tail`).toString('base64')),
    ];
    for (const form of forms) expect(redactor.text(`before ${form} after`)).not.toContain(form);
    expect(redactor.text('an ordinary line')).toBe('an ordinary line');
    expect(
      redactor.deep({ id: `file:/${secret}`, message: `x ${secret}`, why: [{ field: 'env', from: secret }] }),
    ).toEqual({
      id: `file:/${secret}`,
      message: 'x (secret)',
      why: [{ field: 'env', from: '(secret)' }],
    });
  });

  test('masks a secret in an error message that was already sanitized', () => {
    const redactor = createRedactor();
    for (const secret of ['left\u202eright\u200bend', 'bell\u0007\u009bhorse']) {
      redactor.add(secret);
      const { message } = new AgentError({ code: 'InvalidFile', phase: 'prepare', message: `it said ${secret}` });
      expect(redactor.deep(message)).toBe('it said (secret)');
      expect(redactor.text(`it said ${tame(secret)}`)).toBe('it said (secret)');
    }
  });

  test('masks the values of an age-encrypted settings file in any format', async () => {
    const file = [
      'DB_PASSWORD=hunter2secret',
      'export TOKEN="tok en-99" ',
      "  quoted: 'it-is-42'  # why",
      '- {',
      '  "json": "json-secret-7",',
      'URL=postgres://app:p%40ss-word@db:5432/shop',
      'plain: bare value # a comment',
      'FLAG=true',
      'pin: 90210',
    ].join('\n');
    expect(valuesIn(file)).toEqual(
      expect.arrayContaining([
        ...[
          'hunter2secret',
          'tok en-99',
          'it-is-42',
          'json-secret-7',
          'p%40ss-word',
          'p@ss-word',
          'bare value',
          '90210',
        ],
      ]),
    );
    expect(valuesIn(file)).not.toContain('true');
    const identity = await generateX25519Identity();
    const sealed = Buffer.from(await encryptAge(Buffer.from(file), [await identityToRecipient(identity)]));
    const redactor = createRedactor();
    const found = (secret: string) => redactor.addFor('c1', [secret]);
    await openSecrets(new Map([['hosts/a/db.env.age', sealed]]), ['hosts/a'], () => identity, found);
    for (const value of ['hunter2secret', 'tok en-99', 'json-secret-7', 'p@ss-word', '90210'])
      expect(redactor.text(`auth failed for ${value}!`)).toBe('auth failed for (secret)!');
  });

  test('finds all words that contain each other or overlap, like a separate search for each', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'ü'), minLength: 1, maxLength: 5 }), {
          minLength: 1,
          maxLength: 8,
        }),
        fc.string({ unit: fc.constantFrom('a', 'b', 'ü', 'x'), maxLength: 40 }),
        (words, text) => {
          const covered = new Set<number>();
          createAutomaton(words).scan(text, (begin, end) => {
            for (let i = begin; i < end; i++) covered.add(i);
          });
          const expected = new Set<number>();
          for (const word of words)
            for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1))
              for (let i = at; i < at + word.length; i++) expected.add(i);
          expect([...covered].sort()).toEqual([...expected].sort());
        },
      ),
    );
  });

  test('finds a large secret by its parts, wherever they begin, to their ends', () => {
    const bytes = randomBytes(600_000);
    const keystore = bytes.toString('base64').replace(/.{64}/g, '$&\n');
    const redactor = createRedactor();
    redactor.addFor('c1', [keystore]);
    const lines = keystore.split('\n');
    for (const line of [lines[0], lines[5_000], lines.at(-2)]) {
      expect(redactor.text(`bad line "${line}"`)).toBe('bad line "(secret)"');
      expect(redactor.text(`near ${line?.slice(7, 7 + LEAST_PIECE)}, sorry`)).toBe('near (secret), sorry');
    }
    expect(redactor.text('--------------------------------')).toBe('--------------------------------');
    // An earlier version searched each message for each of 200,000 forms: 190 ms for one message, and 20 s for the messages here.
    const began = process.cpuUsage();
    const message = 'the container exited with code 1: '.repeat(30);
    for (let i = 0; i < 200; i++) expect(redactor.text(message)).toBe(message);
    expect(process.cpuUsage(began).user / 1e6).toBeLessThan(4);
  });

  test('forgets secrets of commits that are no longer in use', () => {
    const redactor = createRedactor();
    redactor.addFor('one', ['first-secret', 'shared-secret']);
    redactor.addFor('two', ['second-secret', 'shared-secret']);
    redactor.addFor('three', []);
    redactor.add('registry-secret');
    const text = 'first-secret second-secret shared-secret registry-secret';
    expect(redactor.text(text)).toBe('(secret) (secret) (secret) (secret)');
    redactor.retain(['two']);
    expect(redactor.text(text)).toBe('first-secret (secret) (secret) (secret)');
    redactor.addFor('four', ['fourth-secret']);
    // It was added last, and may be in use although it was never accepted.
    redactor.retain([]);
    expect(redactor.text(`${text} fourth-secret`)).toBe('first-secret second-secret shared-secret (secret) (secret)');
  });

  test('returns the same object if a text has neither secrets nor control sequences', () => {
    const redactor = createRedactor();
    redactor.add('hunter2secret');
    const value = { id: 'a', why: [{ field: 'mode', from: '0600' }], more: { message: 'x' } };
    expect(redactor.deep(value)).toBe(value);
    const changed = redactor.deep({ ...value, message: 'a\u001b[2Jb\u202ec' });
    expect(changed.message).toBe('a·[2Jb·c');
    expect(changed.why).toBe(value.why);
  });
});
