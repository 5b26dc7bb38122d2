/** Credentials in options, URLs, commands, labels and variables: recognized wherever people write them, and never printed. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isCredentialName } from '../../agent/core/credentials/credential-names.ts';
import { credentialsIn, difference, withoutCredentials } from '../../agent/core/credentials/credentials.ts';
import { createRedactor } from '../../agent/secrets/redact.ts';

/** The place of a credential; the key under which the value is found. */
const PLACES: [string, (secret: string) => unknown, string?][] = [
  ['options of a mount', (s) => `username=shop,password=${s},addr=192.0.2.1,vers=3.0`, 'driver_opts.o'],
  ['the last option of a mount', (s) => `addr=192.0.2.1,password=${s}`, 'o'],
  ['an option by its name', (s) => s, 'driver_opts.secret_key'],
  ['a variable', (s) => ({ MYSQL_ROOT_PASSWORD: s })],
  ['variables of the engine', (s) => ({ Env: ['PATH=/bin', `API_TOKEN=${s}`] })],
  ['a URL', (s) => `postgres://shop:${s}@db:5432/shop?sslmode=disable`, 'environment.DATABASE_URL'],
  ['a URL with a user alone', (s) => `https://${s}@git.example.com/x.git`],
  ['a parameter of a URL', (s) => `https://example.com/hook?id=7&token=${s}&x=1`],
  ['a parameter called key', (s) => `https://example.com/hook?key=${s}`],
  ['the address of a driver of Go', (s) => `shop:${s}@tcp(db:3306)/shop`],
  ['--password=', (s) => ['tool', `--password=${s}`, '--verbose']],
  ['--password and a word', (s) => ['tool', '--password', s, '--verbose']],
  ['--requirepass of Redis', (s) => ['redis-server', '--requirepass', s]],
  ['-p of mysql', (s) => ['mysqladmin', 'ping', '-uroot', `-p${s}`]],
  ['-a of redis-cli', (s) => ['redis-cli', '-a', s, 'ping']],
  ['-u of curl', (s) => ['curl', '-u', `admin:${s}`, 'http://localhost/']],
  ['a header of curl', (s) => ['curl', '-H', `X-Vault-Token: ${s}`, 'http://localhost/']],
  ['a bearer', (s) => ['curl', '-H', `Authorization: Bearer ${s}`]],
  ['a command line', (s) => ({ test: ['CMD-SHELL', `mysqladmin ping -h localhost -p${s} || exit 1`] })],
  ['a command line with a variable', (s) => ['sh', '-c', `PGPASSWORD=${s} psql -U shop -c 'select 1'`]],
  ['a quoted value', (s) => ['sh', '-c', `tool --api-key "${s}" && echo done`]],
  ['NAME=value among arguments', (s) => ['env', `SECRET_TOKEN=${s}`, 'tool']],
  ['-e of a command', (s) => ['docker', 'run', '-e', `DB_PASSWORD=${s}`, 'x']],
  ['a label', (s) => ({ labels: { 'app.api-token': s } })],
  ['a label with a URL', (s) => ({ labels: { 'backup.target': `s3://key:${s}@bucket` } })],
  ['options of logging', (s) => ({ LogConfig: { Type: 'splunk', Config: { 'splunk-token': s } } })],
  ['JSON in a variable', (s) => ({ CONFIG: `{"db":{"password":"${s}","port":1}}` })],
  ['what an engine says', (s) => `error while mounting volume: mount.cifs: username=shop,password=${s}: invalid`],
];

/** Random letters that need no quoting, as programs generate them, and never a word. */
const secret = fc
  .stringMatching(/^[A-Za-z0-9+_~]{8,40}$/)
  .filter((s) => /\d/.test(s) && /[a-z]/.test(s) && /[A-Z]/.test(s));

test.each(PLACES)('%s: only the credential is masked', (_, place, key) => {
  fc.assert(
    fc.property(secret, (one) => {
      expect(JSON.stringify(withoutCredentials(place(one), key))).not.toContain(one);
      expect(JSON.stringify(withoutCredentials(place(one), key))).toBe(JSON.stringify(place('(secret)')));
      expect(credentialsIn(place(one), key)).toEqual([one]);
    }),
    { numRuns: 30 },
  );
});

test.each(PLACES)('%s: a redactor that was not given it masks it in a message', (name, place, key) => {
  // A bare value does not show that it is a credential; code that prints it knows its name.
  const value = place('s3cr3t-Value_1');
  if (typeof value !== 'string' || key === 'driver_opts.secret_key') {
    expect(name).not.toBe('');
    return;
  }
  expect(createRedactor().text(`it failed: ${value}`)).not.toContain('s3cr3t-Value_1');
});

test.each(PLACES)('%s: a different credential shows as a change', (_, place, key = 'command') => {
  const shown = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value));
  const told = difference(key, { from: place('0ld-Secret_A'), to: place('n3w-Secret_B') }, shown);
  expect(JSON.stringify(told)).not.toMatch(/0ld-Secret_A|n3w-Secret_B/);
  expect(told.to).toContain('(secret changed)');
});

test('a truncated credential is masked before it is truncated', () => {
  const from = ['tool', 'x'.repeat(180), '--password=0ld-Secret_A'];
  const told = difference('command', { from, to: from.with(2, '--password=n3w-Secret_B') }, (value) =>
    (value as string[]).join(' ').slice(0, 200),
  );
  expect(JSON.stringify(told)).not.toMatch(/0ld|n3w/);
});

describe('text without credentials stays as it is', () => {
  test.each<[unknown, string?]>([
    [{ POSTGRES_PASSWORD_FILE: '/run/secrets/db', TOKEN_TTL: '1h', AUTH_ENABLED: 'true', PASSWORD_MIN_LENGTH: '12' }],
    [['docker', 'run', '-p', '8080:80', '-p127.0.0.1:80:80']],
    [['mkdir', '-p', '/srv/data', '-path', '-print', '-pidfile']],
    [['nginx', '-p', '/etc/nginx', '--port=80', '-u', 'www']],
    [['chown', '--user', '1000:1000']],
    ['https://example.com:8443/path?page=2&q=a@b'],
    ['git@github.com:acme/shop.git'],
    ['ssh://git@example.com/x.git'],
    ['type=nfs4,addr=192.0.2.1,rw', 'driver_opts.o'],
    [['sh', '-c', 'mysqladmin ping -p$MYSQL_ROOT_PASSWORD || exit 1']],
    [['sh', '-c', 'test -n "$PASSWORD" && PGPASSWORD=${PASSWORD} psql']],
    [{ 'traefik.http.routers.web.rule': 'Host(`example.com`) && PathPrefix(`/token`)' }],
    ['authentication to git.example.com failed: 401 (no credential configured); check repo.auth in agent.yaml'],
    ['secret `db` is in hosts/a/db.age too; keep one of them'],
    ['password=(secret), token=(secret changed)'],
  ])('%j', (value, key) => {
    expect(withoutCredentials(value, key)).toEqual(value);
  });

  test('names', () => {
    for (const name of ['PATH', 'keyboard', 'monkey', 'bypass', 'author', 'tokenizer', 'passenger', 'KEYMAP', 'addr'])
      expect([name, isCredentialName(name)]).toEqual([name, false]);
    for (const name of ['pwd', 'DB_PASS', 'accessToken', 'AWS_SECRET_ACCESS_KEY', 'APP_KEY', 'authToken', 'apikey'])
      expect([name, isCredentialName(name)]).toEqual([name, true]);
  });
});

test('masking twice equals masking once, and any text is masked in bounded time', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'a=:-p"\'\\/@ ?&,tokenpassword'), maxLength: 400 }), (text) => {
      const once = withoutCredentials(text);
      expect(withoutCredentials(once)).toBe(once);
    }),
  );
  for (const part of ['"\\', "'", '-p', 'a=', 'password=', 'x://a:', '://', '"token":', 'a://b:c@', 'token '])
    expect(withoutCredentials(part.repeat(30_000)).length).toBeGreaterThan(0);
  for (const end of ['!', ' ', ',,']) expect(withoutCredentials(`a=b,${'a'.repeat(4_000)}${end}`)).toContain('a=b,');
});
