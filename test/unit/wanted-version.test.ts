/** Which version of the agent a commit asks for: read before the rest, also by an agent that cannot read the rest. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readWantedAgent } from '../../agent/core/version/agent-wanted.ts';
import { checkoutOf, loadRepo, type Repo, sha256 } from './repo.ts';

const SUM = 'a'.repeat(64);
const URL = 'https://get.example.com/fairlead_0.2.0_amd64.deb';
const agentOf = (more: object) => JSON.stringify({ agent: { version: '0.2.0', source: URL, sha256: SUM, ...more } });
const read = (repo: Repo) => readWantedAgent(checkoutOf(repo).files, 'hosts/a');
const wanted = (repo: Repo) => read(repo).wanted;
const errorsOf = async (repo: Repo) =>
  (await loadRepo(repo)).issues.map(({ file, line, key, message }) => `${file}:${line} ${key} ${message}`);

describe('the requested agent version', () => {
  test('is that of host.yaml', () => {
    expect(
      wanted({ 'hosts/a/host.yaml': `mode: enforce\nagent:\n  version: 0.2.0\n  source: ${URL}\n  sha256: ${SUM}\n` }),
    ).toEqual({
      version: '0.2.0',
      source: { url: URL },
      format: 'deb',
      sha256: SUM,
      origin: { file: 'hosts/a/host.yaml', line: 3 },
    });
  });

  test('is undefined if no layer sets it', () => {
    expect(read({ 'hosts/a/x.yaml': 'files: {}\n' })).toEqual({ wanted: null, issues: [] });
  });

  test('is merged from the layers key by key', () => {
    const repo = {
      'fleet.yaml': JSON.stringify({ roles: ['base'], agent: { version: '0.1.0' } }),
      'roles/base/role.yaml': agentOf({}),
      'hosts/a/host.yaml': 'roles: [arm]\n',
      'roles/arm/role.yaml': 'agent: {source: fairlead.rpm, sha256: null}\n',
    };
    expect(wanted(repo)).toMatchObject({
      version: '0.2.0',
      source: { payload: 'roles/arm/fairlead.rpm' },
      format: 'rpm',
      sha256: null,
      origin: { file: 'roles/base/role.yaml' },
    });
  });

  test('is removed by null', () => {
    expect(wanted({ 'fleet.yaml': agentOf({}), 'hosts/a/host.yaml': 'agent: null\n' })).toBeNull();
  });

  test('is read even if the rest needs a newer agent', () => {
    const repo = {
      'fleet.yaml': 'requires: ">=9"\nnewer: {}\nroles: [base]\n',
      'roles/base/role.yaml': agentOf({ judge: '1h' }),
      'roles/base/new.yaml': 'rockets: {saturn: {}}\n: broken',
      'hosts/a/host.yaml': 'newer: [1]\nmode: brandnew\nwindow: 7\n',
    };
    expect(wanted(repo)).toMatchObject({ version: '0.2.0' });
  });
});

describe('invalid values', () => {
  test.each<[string, Repo]>([
    ['a role that cannot be parsed', { 'hosts/a/host.yaml': 'roles: [r]\n', 'roles/r/role.yaml': 'agent: {\n' }],
    ['a missing role', { 'hosts/a/host.yaml': 'roles: [r]\n' }],
    ['a cycle of roles', { 'hosts/a/host.yaml': 'roles: [r]\n', 'roles/r/role.yaml': 'roles: [r]\n' }],
    ['roles of the wrong type', { 'hosts/a/host.yaml': 'roles: {r: {}}\n' }],
    ['an `agent` of the wrong type', { 'hosts/a/host.yaml': 'agent: [0.3.0]\n' }],
    ['a version of the wrong type', { 'hosts/a/host.yaml': 'agent: {version: 3}\n' }],
    ['bytes that are not text', { 'hosts/a/host.yaml': new Uint8Array([0xff, 0xfe, 0x00]) }],
    ['the key `__proto__`', { 'hosts/a/host.yaml': 'future: {__proto__: 1}\n' }],
    ['an encrypted file', { 'hosts/a/host.yaml': 'sops: {mac: x, version: "3"}\nagent: ENC[x]\n' }],
  ])('with %s, no version is requested', (_, above) => {
    expect(wanted({ 'fleet.yaml': agentOf({}), ...above })).toBeNull();
  });
});

describe('errors name file and line', () => {
  const errors = (agent: object, more: Repo = {}) => errorsOf({ 'hosts/a/host.yaml': agentOf(agent), ...more });

  test('a version alone is not enough', async () => {
    expect(await errorsOf({ 'hosts/a/host.yaml': 'mode: enforce\nagent: {version: 0.2.0}\n' })).toEqual([
      'hosts/a/host.yaml:2 agent.source `agent` needs `source`: a package in the repository, or an https URL of one',
    ]);
  });
  test('a URL needs a digest', async () => {
    expect(await errors({ sha256: null })).toEqual([
      'hosts/a/host.yaml:1 agent.sha256 a package from a URL needs `sha256`; `sha256sum` of the package prints it',
    ]);
  });
  test.each([
    ['http://get.example.com/f.deb', 'must be a file of the repository, or an https URL'],
    [
      'https://me:secret@get.example.com/f.deb',
      'must not contain a password: everybody who can read the repository would have it',
    ],
    ['../b/f.deb', 'must be a file below hosts/a'],
    ['fairlead.zip', 'must end in .deb, .rpm, .tar.xz, .tar.zst, .tar.gz or .tgz'],
  ])('the source %s is refused', async (source, message) => {
    expect(await errors({ source })).toEqual([`hosts/a/host.yaml:1 agent.source ${message}`]);
  });
  test('a package that is missing from the repository is reported', async () => {
    expect(await errors({ source: 'f.deb' })).toEqual([
      'hosts/a/host.yaml:1 agent.source there is no file hosts/a/f.deb; `agent.source` names it',
    ]);
  });
  test('a package with another digest is reported', async () => {
    const [message] = await errors({ source: 'f.deb' }, { 'hosts/a/f.deb': 'x' });
    expect(message).toContain(`hosts/a/f.deb has the SHA-256 ${sha256(new TextEncoder().encode('x'))}`);
  });
  test('a package with the right digest is accepted', async () => {
    const body = new TextEncoder().encode('x');
    expect(await errors({ source: 'f.deb', sha256: sha256(body) }, { 'hosts/a/f.deb': body })).toEqual([]);
  });
  test('fleet.yaml has no files of its own', async () => {
    expect(await errorsOf({ 'fleet.yaml': agentOf({ source: 'f.deb' }), 'hosts/a/x.yaml': '' })).toEqual([
      'fleet.yaml:1 agent.source must be an https URL here: fleet.yaml has no files of its own; put the package into a role',
    ]);
  });
});

describe('with any content of the files', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 60 }),
    fc.json(),
    fc.stringMatching(/^(agent|roles|version|source|sha256|[:{}[\]&*!?,\- \n"']){0,40}$/),
    fc.constantFrom(agentOf({}), agentOf({ version: null }), 'roles: [r]\n', 'agent: &a {x: *a}\n', 'agent: null\n'),
  );
  const files = fc.record(
    { 'fleet.yaml': text, 'roles/r/role.yaml': text, 'hosts/a/host.yaml': text, 'hosts/a/x.yaml': text },
    { requiredKeys: [] },
  );

  test('it never throws, and any version that it returns is well formed', () => {
    fc.assert(
      fc.property(files, (repo) => {
        const { wanted: found, issues } = read(repo as Repo);
        for (const { line, column } of issues) expect(line + column).toBeGreaterThanOrEqual(2);
        if (found === null) return;
        expect(found.version).toMatch(/^\d+\.\d+\.\d+/);
        if ('url' in found.source) expect(found.source.url).toMatch(/^https:\/\//);
        if ('url' in found.source) expect(found.sha256).toMatch(/^[0-9a-f]{64}$/);
      }),
    );
  });

  test('unknown keys change nothing', () => {
    const layers = fc.array(fc.constantFrom<string>('fleet.yaml', 'roles/r/role.yaml', 'hosts/a/host.yaml'), {
      minLength: 1,
    });
    const stranger = fc.stringMatching(/^[a-z]{8}$/);
    // A file with the key is not read at all (above).
    const any = fc.jsonValue().filter((value) => !JSON.stringify(value).includes('"__proto__"'));
    fc.assert(
      fc.property(layers, stranger, any, (places, name, value) => {
        const plain = Object.fromEntries(
          ['fleet.yaml', 'roles/r/role.yaml', 'hosts/a/host.yaml'].map((file, i) => [
            file,
            {
              ...(file === 'fleet.yaml' ? { roles: ['r'] } : {}),
              ...(places.includes(file) ? { agent: { version: `0.${i}.0`, source: URL, sha256: SUM } } : {}),
            },
          ]),
        );
        const as = (more: object) =>
          Object.fromEntries(Object.entries(plain).map(([file, said]) => [file, JSON.stringify({ ...more, ...said })]));
        expect(wanted(as({ [name]: value }))).toEqual(wanted(as({})));
      }),
    );
  });
});
