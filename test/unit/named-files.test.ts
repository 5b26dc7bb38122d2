/**
 * Files that agent.yaml names: one that is not a regular file, or is endless, is an error, and is neither waited for nor read
 * into memory.
 */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openLocalVars } from '../../agent/daemon/local-vars.ts';
import { createSource } from '../../agent/git/source.ts';
import { createHttp } from '../../agent/git/wire/http.ts';
import { LIMITS } from '../../agent/git/wire/remote.ts';
import { createSmartHttp } from '../../agent/git/wire/smart-http.ts';
import { createSsh } from '../../agent/git/wire/ssh.ts';
import { loadConfig } from '../../agent/layout.ts';
import { silentLog } from '../../agent/log.ts';
import { readNamed, readNamedSync } from '../../agent/reading.ts';
import { createCredentials } from '../../agent/system/docker/registry-credentials.ts';
import { connectBroker } from '../../agent/system/mqtt.ts';

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fairlead-named-'));
const pipe = path.join(dir, 'pipe');
const endless = path.join(dir, 'endless');
const huge = path.join(dir, 'huge');
beforeAll(() => {
  execFileSync('mkfifo', [pipe]);
  fs.symlinkSync('/dev/zero', endless);
  fs.writeFileSync(huge, '');
  fs.truncateSync(huge, 40 * 1024 ** 3);
});
afterAll(() => fs.rmSync(dir, { recursive: true, force: true }));

const env = { PATH: process.env.PATH };
const signal = AbortSignal.timeout(120_000);
const exec = async () => ({ code: 0, stdout: '', stderr: '' });

/** The readers of the files that agent.yaml names, one for each key. */
const READERS: Record<string, (file: string) => Promise<unknown>> = {
  varsFile: (file) => openLocalVars({ vars: {}, varsFile: file, varLines: {} }, 'agent.yaml'),
  'agent.yaml itself': async (file) => loadConfig({ config: file }),
  'repo.auth.passwordFile': async (file) => {
    const http = createHttp({ env, limits: LIMITS });
    const remote = createSmartHttp({ url: 'http://127.0.0.1:9/x', auth: { passwordFile: file }, http, limits: LIMITS });
    for await (const _ of remote.exchange({ body: null, size: 'refs' }, signal)) break;
  },
  'repo.ca': (file) =>
    createHttp({ ca: file, env, limits: LIMITS }).request(
      { method: 'GET', url: 'https://127.0.0.1:9/', headers: {}, totalMs: 5_000 },
      signal,
    ),
  'repo.auth.sshKeyFile': async (file) => {
    const remote = createSsh({ url: 'ssh://127.0.0.1:9/x', sshKeyFile: file, env, limits: LIMITS });
    for await (const _ of remote.exchange({ body: null, size: 'refs' }, signal)) break;
  },
  'repo.auth.knownHostsFile': async (file) => {
    const remote = createSsh({ url: 'ssh://127.0.0.1:9/x', knownHostsFile: file, env, limits: LIMITS });
    for await (const _ of remote.exchange({ body: null, size: 'refs' }, signal)) break;
  },
  'mqtt.passwordFile': (file) =>
    connectBroker({ broker: { url: 'mqtt://127.0.0.1:9', passwordFile: file }, clientId: 'x', timeoutMs: 1_000 }),
  'docker.registries': (file) =>
    createCredentials({
      registries: { 'r.example.com': { username: 'u', passwordFile: file } },
      ...{ home: dir, root: '', exec, secret: () => undefined },
    }).of('r.example.com'),
};

describe.each(Object.entries(READERS))('%s', (_, read) => {
  test.each([
    ['a pipe', pipe, 'it is no regular file'],
    ['an endless device', endless, 'it is no regular file'],
    ['a directory', dir, 'it is no regular file'],
    ['a file of 40 GiB', huge, 'it is larger than 4 MiB'],
    ['nothing', path.join(dir, 'none'), 'there is no such file'],
  ])('that names %s is refused with a message', async (_what, file, why) => {
    await expect(read(file)).rejects.toThrow(why);
  });
});

test('a list of signers that is a pipe does not block the policy', () => {
  const verify = { allowedSigners: pipe, mode: 'head' as const };
  const source = createSource({
    ...{ url: dir, ref: 'main', path: 'hosts/a', gitdir: dir, env, exec, log: silentLog, verify },
  });
  expect(source.policy()).toMatch(/^[0-9a-f]{32}$/);
});

test('input that a shell passes as `<(command)` is read to its end', () => {
  const script = `import('${path.resolve('agent/reading.ts')}').then(async (m) => process.stdout.write(String(await m.readNamed(process.argv[1]))))`;
  const said = execFileSync('bash', ['-c', `"$0" -e "$1" <(echo secret)`, process.execPath, script]).toString();
  expect(said).toBe('secret\n');
});

test('a file without a size, as in /proc, is read', async () => {
  expect((await readNamed('/proc/self/status')).toString()).toContain('Name:');
  expect(readNamedSync('/proc/self/status').toString()).toContain('Name:');
});
