/** SSH without a network: the url, the argv, and a stand-in for ssh that runs the remote command on this machine. */
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LIMITS } from '../../../agent/git/wire/remote.ts';
import { parseSshUrl, sshArgv } from '../../../agent/git/wire/ssh.ts';
import { createFixture, type Fixture, git, scratch } from './backend.ts';
import { createPuller, failure, texts } from './pull.ts';

let root: string;
let fixture: Fixture;
let count = 0;

beforeAll(() => {
  root = scratch();
  fixture = createFixture(root);
  fixture.commit({ 'hosts/edge-1/f': 'hello\n', 'hosts/edge-2/f': 'other\n' });
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A program `ssh` with this body, alone on its PATH beside the usual ones. */
function standIn(body: string): { PATH: string; dir: string } {
  const dir = path.join(root, `bin-${++count}`);
  mkdirSync(dir);
  writeFileSync(path.join(dir, 'ssh'), `#!/bin/sh\n${body}\n`);
  chmodSync(path.join(dir, 'ssh'), 0o755);
  return { PATH: `${dir}:/usr/bin:/bin`, dir };
}
const host = (body: string, more: Partial<Parameters<typeof createPuller>[1]> = {}) => {
  const { PATH, dir } = standIn(body);
  const url = `ssh://git@example.com${fixture.dir}`;
  const puller = createPuller(dir, { url, env: { PATH, SSH_AUTH_SOCK: '/agent', DISPLAY: ':0', HOME: '' }, ...more });
  return { puller, dir };
};
const HERE = 'env > "$0.env"; printf "%s\\n" "$@" > "$0.argv"; for last; do :; done; exec sh -c "$last"';

test.each([
  ['ssh://git@example.com/fleet.git', { user: 'git', host: 'example.com', port: null, path: '/fleet.git' }],
  ['ssh://example.com:2222/srv/x y.git', { user: null, host: 'example.com', port: 2222, path: '/srv/x y.git' }],
  ['ssh://git@[fe80::1]:22/~git/fleet', { user: 'git', host: 'fe80::1', port: 22, path: '~git/fleet' }],
  ['git@example.com:team/fleet.git', { user: 'git', host: 'example.com', port: null, path: 'team/fleet.git' }],
  ['example.com:fleet', { user: null, host: 'example.com', port: null, path: 'fleet' }],
  ['ssh://-oProxyCommand=x/fleet', null],
  ['-oProxyCommand=x:fleet', null],
  ['-l@example.com:fleet', null],
  ['https://example.com/fleet', null],
])('%s', (url, expected) => {
  expect(parseSshUrl(url)).toEqual(expected);
});

test('no url can inject an option, a second word or a command', () => {
  const part = fc.string({ minLength: 1, maxLength: 12, unit: fc.constantFrom(...'-ab@:/.!\'"$;` \n\\~[]'.split('')) });
  fc.assert(
    fc.property(fc.constantFrom('ssh://', ''), part, part, (scheme, a, b) => {
      const address = parseSshUrl(`${scheme}${a}:${b}`) ?? parseSshUrl(`${scheme}${a}/${b}`);
      if (address === null) return;
      expect(address.host).toMatch(/^[^-]/);
      expect(address.user ?? 'x').toMatch(/^[^-]/);
      const argv = sshArgv(address, { limits: LIMITS });
      expect(argv.indexOf('--')).toBe(argv.length - 3);
      // The remote shell reads it as one word.
      const words = argv.at(-1)?.slice('git-upload-pack '.length) ?? '';
      const quoted = words.match(/^('[^']*'|\\'|\\!)+$/);
      expect(quoted).not.toBeNull();
    }),
  );
});

test('ssh may not prompt, forward, learn keys or use an agent; a pinned file is the only one that counts', () => {
  const address = { user: 'git', host: 'h', port: 22, path: '/x' };
  const argv = sshArgv(address, { limits: LIMITS, sshKeyFile: '/k', knownHostsFile: '/kh' });
  for (const option of [
    'BatchMode=yes', 'StrictHostKeyChecking=yes', 'IdentityAgent=none', 'IdentitiesOnly=yes', 'IdentityFile="/k"',
    'UserKnownHostsFile="/kh"', 'GlobalKnownHostsFile=/dev/null', 'ForwardAgent=no', 'UpdateHostKeys=no',
  ]) expect(argv[argv.indexOf(option) - 1], option).toBe('-o'); // biome-ignore format: a list
  expect(sshArgv(address, { limits: LIMITS }).join(' ')).not.toMatch(/KnownHostsFile|IdentityFile/);
});

test('ssh pulls use version 2, without environment variables that lead to a person or an agent', async () => {
  const { puller, dir } = host(HERE);
  expect(texts((await puller.pull()).checkout)).toEqual({ 'hosts/edge-1/f': 'hello\n' });
  fixture.commit({ 'hosts/edge-1/f': 'again\n' });
  const { review, checkout } = await puller.pull();
  expect([review.hold, texts(checkout)['hosts/edge-1/f']]).toEqual([null, 'again\n']);
  expect(puller.log).toEqual([]);
  const env = readFileSync(path.join(dir, 'ssh.env'), 'utf8');
  expect(env).toMatch(/^GIT_PROTOCOL=version=2$/m);
  expect(env).not.toMatch(/SSH_AUTH_SOCK|DISPLAY|^HOME=/m);
  expect(readFileSync(path.join(dir, 'ssh.argv'), 'utf8')).toMatch(
    /\n--\nexample.com\ngit-upload-pack '\/.*fleet.git'\n$/,
  );
});

test('a server that did not get the version uses 0: complete commits, logged once', async () => {
  const { puller } = host(`unset GIT_PROTOCOL; ${HERE}`);
  for (const text of ['one', 'two']) {
    fixture.commit({ 'hosts/edge-1/f': text });
    expect(texts((await puller.pull()).checkout)['hosts/edge-1/f']).toBe(text);
  }
  git(fixture.work, 'reset', '-q', '--hard', 'HEAD~1');
  expect((await puller.pull()).review.hold?.reason).toBe('HistoryRewritten');
  expect(puller.log).toEqual([expect.stringContaining('version 0 of the git protocol')]);
});

test.each([
  ['Host key verification failed.', /^HostKeyUnknown: .*key is not in \S+\/kh; add the line/],
  [
    '@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.',
    /^HostKeyUnknown: .*is not the one in \S+\/kh: somebody/,
  ],
  [
    'git@example.com: Permission denied (publickey).',
    /^AuthenticationFailed: .*Permission denied \(publickey\).*Used: the key \S+\/k;/,
  ],
  ['ssh: connect to host example.com port 22: Connection refused', /^RepositoryUnreachable: .*Connection refused/],
  ["fatal: '/x' does not appear to be a git repository", /^RepositoryUnreachable: .*does not appear/],
])('ssh reports %j', async (said, expected) => {
  const script = `cat >&2 <<'END'\n${said}\nEND\nexit 255`;
  const sshKeyFile = path.join(root, 'k');
  const knownHostsFile = path.join(root, 'kh');
  for (const file of [sshKeyFile, knownHostsFile]) writeFileSync(file, '');
  const { puller } = host(script, { auth: { sshKeyFile, knownHostsFile } });
  expect(await failure(puller.pull())).toMatch(expected);
});

test('a missing ssh, one that hangs, and one that stops in the middle are errors', async () => {
  const none = createPuller(path.join(root, 'none'), { url: 'git@example.com:x', env: { PATH: '/nowhere' } });
  expect(await failure(none.pull())).toMatch(/RepositoryUnreachable: .*install openssh-client/);
  const limits = { connect: 100, answer: 100, stall: 100 };
  expect(await failure(host('exec sleep 60', { limits }).puller.pull())).toMatch(
    /RepositoryUnreachable: .*no answer within 0.2 s/,
  );
  const stalls = 'printf "000eversion 2\\n"; exec sleep 60';
  expect(await failure(host(stalls, { limits: { stall: 100 } }).puller.pull())).toMatch(
    /RepositoryUnreachable: .*stalled/,
  );
  expect(await failure(host('printf "000eversion 2\\n"').puller.pull())).toMatch(/ProtocolError: .*ends too early/);
});
