/** Who may change a host: commits and tags signed with OpenSSH keys, verified by OpenSSH itself. */
import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { SourceOptions } from '../../../agent/git/access.ts';
import { createFixture, type Fixture, git, scratch } from './backend.ts';
import { createPuller, failure, noSignal, type Puller, texts } from './pull.ts';

let root: string;
let fixture: Fixture;
let count = 0;
const file = (name: string) => path.join(root, name);
const key = (name: string) => execFileSync('cat', [file(`${name}.pub`)], { encoding: 'utf8' }).trim();

beforeAll(() => {
  root = scratch();
  for (const name of ['ann', 'bob', 'eve', 'old'])
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', file(name)]);
  allow();
});
afterAll(() => rmSync(root, { recursive: true, force: true }));
beforeEach(() => {
  count++;
  fixture = createFixture(root, `fleet-${count}.git`);
});

function allow(...more: string[]): void {
  const lines = [
    `ann@example.com namespaces="git" ${key('ann')}`,
    `bob@example.com namespaces="file" ${key('bob')}`,
    `old@example.com namespaces="git",valid-before="20200101" ${key('old')}`,
    ...more,
  ];
  writeFileSync(file('allowed_signers'), `${lines.join('\n')}\n`);
}

const signedBy = (name: string) => ['-c', 'gpg.format=ssh', '-c', `user.signingkey=${file(name)}`];
/** Commits on main, signed or not, and pushes. */
function commit(text: string, by: string | null): string {
  writeFileSync(path.join(fixture.work, 'note'), text);
  git(fixture.work, 'add', '-A');
  const sign = by === null ? [] : ['-S'];
  git(fixture.work, ...(by === null ? [] : signedBy(by)), 'commit', '-q', '-m', text, ...sign);
  return git(fixture.work, 'rev-parse', 'HEAD');
}
const base = () => fixture.commit({ 'hosts/edge-1/f': 'hello\n' }, 'Base');

/** Without a server: the same review reads the repository in place. */
const host = (more: Partial<SourceOptions> = {}, mode: 'head' | 'strict' = 'head'): Puller =>
  createPuller(path.join(root, `host-${++count}`), {
    url: fixture.dir,
    verify: { allowedSigners: file('allowed_signers'), mode },
    ...more,
  });
const heldBy = async (puller: Puller) => {
  const { review, checkout } = await puller.pull();
  expect(checkout === null).toBe(review.hold !== null);
  return review.hold === null ? 'trusted' : `${review.hold.reason}: ${review.hold.message}`;
};

test('a signed head is trusted, and its signer is reported; the signature covers the tree', async () => {
  base();
  commit('Signed', 'ann');
  const { checkout } = await host().pull();
  expect(checkout?.info.signer).toBe('ann@example.com');
  expect(texts(checkout)).toEqual({ 'hosts/edge-1/f': 'hello\n' });
});

test.each([
  [
    'unsigned',
    null,
    /^Unsigned: commit [0-9a-f]{7} "Change" by Ann <ann@example.com> is not signed; nothing of it was applied$/,
  ],
  ['signed by an unknown person', 'eve', /^UnknownSigner: .*allowed_signers does not name/],
  ['signed with a key for another namespace', 'bob', /^(UnknownSigner|BadSignature): /],
  ['signed with a key that has expired', 'old', /^SignerExpired: .*was not valid at that time/],
])('a head %s is held', async (_, by, expected) => {
  base();
  commit('Change', by);
  expect(await heldBy(host())).toMatch(expected);
});

test('a key is valid for its period of validity', async () => {
  base();
  process.env.TZ = 'UTC';
  writeFileSync(path.join(fixture.work, 'note'), 'then');
  git(fixture.work, 'add', '-A');
  const then = ['-c', 'user.name=Old'];
  execFileSync('git', [...signedBy('old'), ...then, 'commit', '-q', '-S', '-m', 'Then'], {
    cwd: fixture.work,
    env: {
      ...process.env,
      GIT_COMMITTER_DATE: '2019-06-01T12:00:00Z',
      GIT_COMMITTER_NAME: 'Old',
      GIT_COMMITTER_EMAIL: 'o@x',
      GIT_AUTHOR_NAME: 'Old',
      GIT_AUTHOR_EMAIL: 'o@x',
    },
  });
  expect(await heldBy(host())).toBe('trusted');
});

test('a revoked key is not valid any more', async () => {
  base();
  commit('Change', 'ann');
  writeFileSync(file('revoked'), `${key('ann')}\n`);
  const verify = { allowedSigners: file('allowed_signers'), revoked: file('revoked'), mode: 'head' as const };
  expect(await heldBy(host({ verify }))).toMatch(
    /^SignerRevoked: .*signed by ann@example.com with a key that .*revoked has revoked/,
  );
  writeFileSync(file('revoked'), `${key('eve')}\n`);
  expect(await heldBy(host({ verify }))).toBe('trusted');
  expect(await heldBy(host({ verify: { ...verify, revoked: file('nowhere') } }))).toMatch(/^VerifyUnavailable: /);
});

test('a signature that was moved to another commit, or changed afterwards, is invalid', async () => {
  base();
  commit('Signed', 'ann');
  const raw = git(fixture.work, 'cat-file', 'commit', 'HEAD');
  for (const forged of [
    raw.replace('Signed', 'Forged'),
    raw.replace(/^tree .*/, `tree ${git(fixture.work, 'rev-parse', 'HEAD~1^{tree}')}`),
  ]) {
    writeFileSync(file('forged'), `${forged}\n`);
    const id = git(fixture.work, 'hash-object', '-t', 'commit', '-w', file('forged'));
    git(fixture.work, 'push', '-q', '-f', 'origin', `${id}:refs/heads/main`);
    expect(await heldBy(host())).toMatch(/^BadSignature: .*does not hold/);
  }
});

test('OpenPGP, X.509 and duplicate signatures are reported as such', async () => {
  base();
  commit('Signed', 'ann');
  const raw = git(fixture.work, 'cat-file', 'commit', 'HEAD');
  const signature = /gpgsig [\s\S]*?-----END SSH SIGNATURE-----\n/.exec(raw)?.[0] ?? '';
  const as = (text: string) => raw.replace(signature, text);
  const kinds: [string, RegExp][] = [
    [
      as('gpgsig -----BEGIN PGP SIGNATURE-----\n x\n -----END PGP SIGNATURE-----\n'),
      /^UnsupportedSignature: .*has an OpenPGP signature/,
    ],
    [
      as('gpgsig -----BEGIN SIGNED MESSAGE-----\n x\n -----END SIGNED MESSAGE-----\n'),
      /^UnsupportedSignature: .*X.509/,
    ],
    [as(signature + signature), /^BadSignature: .*cannot be read/],
  ];
  for (const [text, expected] of kinds) {
    writeFileSync(file('forged'), `${text}\n`);
    const id = git(fixture.work, 'hash-object', '-t', 'commit', '-w', file('forged'));
    git(fixture.work, 'push', '-q', '-f', 'origin', `${id}:refs/heads/main`);
    expect(await heldBy(host())).toMatch(expected);
  }
});

test('strict requires signatures on every commit since the last signed one; head only on the head', async () => {
  base();
  commit('First', 'ann');
  const [loose, strict] = [host(), host({}, 'strict')];
  expect([await heldBy(loose), await heldBy(strict)]).toEqual(['trusted', 'trusted']);
  commit('Unsigned between', null);
  commit('Last', 'ann');
  expect(await heldBy(loose)).toBe('trusted');
  expect(await heldBy(strict)).toMatch(
    /^Unsigned: commit [0-9a-f]{7} "Unsigned between" by .*, on the way to [0-9a-f]{7}, is not signed/,
  );
});

test('strict begins at the floor on the first pull', async () => {
  const first = base();
  commit('Unsigned between', null);
  commit('Last', 'ann');
  expect(await heldBy(host({ since: first }, 'strict'))).toMatch(/^Unsigned: .*"Unsigned between"/);
  expect(await heldBy(host({ since: first }))).toBe('trusted');
  expect(await heldBy(host({}, 'strict'))).toBe('trusted');
});

test('a tag must be signed itself, for its own name', async () => {
  base();
  const commitId = commit('Unsigned', null);
  const tags = (...args: string[]) => git(fixture.work, ...args);
  tags(...signedBy('ann'), 'tag', '-s', '-m', 'one', 'v1.0.0');
  tags('tag', 'v1.1.0');
  tags('tag', '-a', '-m', 'two', 'v1.2.0');
  tags(...signedBy('eve'), 'tag', '-s', '-m', 'three', 'v1.3.0');
  tags('update-ref', 'refs/tags/v9.0.0', tags('rev-parse', 'v1.0.0'));
  const good = await host({ ref: 'v1.0.0' }).pull();
  expect(good.checkout?.info).toMatchObject({ commit: commitId, signer: 'ann@example.com', tag: 'v1.0.0' });
  expect(await heldBy(host({ ref: 'v1.1.0' }))).toMatch(/^Unsigned: tag v1.1.0 is lightweight/);
  expect(await heldBy(host({ ref: 'v1.2.0' }))).toMatch(/^Unsigned: tag v1.2.0 is not signed/);
  expect(await heldBy(host({ ref: 'v1.*' }))).toMatch(/^UnknownSigner: tag v1.3.0/);
  expect(await heldBy(host({ ref: 'v9.*' }))).toMatch(/^BadSignature: tag v9.0.0 is in truth tag v1.0.0/);
});

test.each([
  ['a tag that moves', 'stable', ['stable', 'stable']],
  ['a pattern', 'v1.*', ['v1.0.0', 'v1.1.0']],
])('a commit is reviewed by the tag that named it, even if a plan has found the next one: %s', async (_, ref, tags) => {
  const tag = (name = '') => git(fixture.work, ...signedBy('ann'), 'tag', '-f', '-s', '-m', name, name);
  base();
  const first = commit('First', null);
  tag(tags[0]);
  const puller = host({ ref });
  expect(await puller.head()).toBe(first);
  const second = commit('Second', null);
  tag(tags[1]);
  expect(await puller.head()).toBe(second);
  const request = { accepted: null, newest: null, named: false, allowRewind: false };
  const review = await puller.source.review(first, request, noSignal);
  expect(review.hold).toBeNull();
  expect(review.provenance).toMatchObject({ kind: 'tag', name: tags[0] });
});

test('repo.since is a floor that needs no history', async () => {
  const first = base();
  const second = commit('Second', null);
  commit('Third', null);
  const floor = (since: string) => host({ since, verify: undefined });
  expect(await heldBy(floor(first))).toBe('trusted');
  expect(await heldBy(floor(second))).toBe('trusted');
  git(fixture.work, 'reset', '-q', '--hard', first);
  expect(await heldBy(floor(second))).toMatch(/^BelowFloor: commit .* "Base" .* does not descend from .*repo.since/);
  // Not even if a rewind is allowed, and not for tags or pinned commits.
  const allowed = floor(second);
  allowed.accepted = second;
  expect((await allowed.pull(true)).review.hold?.reason).toBe('BelowFloor');
  expect(await heldBy(host({ since: second, verify: undefined, ref: first }))).toMatch(/^BelowFloor/);
  expect(await heldBy(floor('f'.repeat(40)))).toMatch(/^BelowFloor/);
});

test('without ssh-keygen, or without the file of signers, nothing is trusted', async () => {
  base();
  commit('Signed', 'ann');
  expect(await heldBy(host({ exec: async () => ({ code: 127, stdout: '', stderr: 'ENOENT' }) }))).toMatch(
    /^VerifyUnavailable: .*install openssh-client/,
  );
  const gone = { allowedSigners: file('gone'), mode: 'head' as const };
  expect(await heldBy(host({ verify: gone }))).toMatch(/^VerifyUnavailable: .*gone cannot be read \(ENOENT\)/);
  expect(await failure(host().pull())).toBe('no error');
});
