/** The agent's part of its own upgrade: staging a package, verifying its digest, the order, and the result. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { StoredFile } from '../../agent/core/payload/payload.ts';
import type { WantedAgent } from '../../agent/core/version/agent-wanted.ts';
import { silentLog } from '../../agent/log.ts';
import type { Exec } from '../../agent/system/exec.ts';
import { download } from '../../agent/upgrade/download.ts';
import { createUpgrader } from '../../agent/upgrade/upgrader.ts';
import { checkoutOf } from './repo.ts';

const BODY = Buffer.from('a package');
const SUM = createHash('sha256').update(BODY).digest('hex');
const NEVER = new AbortController().signal;

let dir: string;
let units: string;
/** The answers of systemctl, dpkg-query and rpm; every other command fails. */
let works: (argv: readonly string[]) => boolean;
let calls: string[];
beforeEach(() => {
  dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-upgrader-'));
  units = path.join(dir, 'units');
  calls = [];
  works = ([program, verb]) => program === 'systemctl' && verb !== 'is-active';
  for (const name of ['program', 'state', 'units']) mkdirSync(path.join(dir, name));
  for (const name of ['upgrade.sh', 'fairlead-upgrade.service']) writeFileSync(path.join(dir, 'program', name), name);
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const exec: Exec = async (argv) => {
  calls.push(argv.join(' '));
  return { code: works(argv) ? 0 : 1, stdout: '', stderr: 'no' };
};
const upgrader = (env: Record<string, string> = {}) =>
  createUpgrader({
    version: '0.1.0',
    programDir: path.join(dir, 'program'),
    stateDir: path.join(dir, 'state'),
    repo: {},
    env,
    unitDir: units,
    exec,
    log: silentLog,
  });
const wanted = (more: Partial<WantedAgent> = {}): WantedAgent => ({
  version: '0.2.0',
  source: { payload: 'hosts/a/f.deb' },
  format: 'deb',
  sha256: SUM,
  origin: { file: 'hosts/a/host.yaml', line: 1 },
  ...more,
});
const files = new Map([['hosts/a/f.deb', BODY as Uint8Array]]);
const state = (name: string) => path.join(dir, 'state/upgrade', name);
const result = (name: string, more: Record<string, string> = {}) => {
  const lines = {
    version: '0.2.0',
    sha256: SUM,
    from: '0.1.0',
    verdict: 'failed',
    cause: 'silent',
    message: 'a=b',
    at: '60',
  };
  mkdirSync(path.dirname(state(name)), { recursive: true });
  writeFileSync(
    state(name),
    Object.entries({ ...lines, ...more })
      .map(([k, v]) => `${k}=${v}\n`)
      .join(''),
  );
};

test('the requested version of a commit is read once', () => {
  const upgrade = upgrader();
  const said = new Map([['hosts/a/host.yaml', new TextEncoder().encode('agent: {version: 0.2.0, source: f.deb}\n')]]);
  const head = checkoutOf({});
  expect(upgrade.wanted({ ...head, files: said })).toMatchObject({ version: '0.2.0' });
  expect(upgrade.wanted(head)).toMatchObject({ version: '0.2.0' });
  expect(upgrade.wanted({ ...head, info: { ...head.info, commit: '2'.repeat(40) } })).toBeNull();
});

describe('the package manager that installed fairlead', () => {
  test.each<[string, string | null, () => void]>([
    ['by dpkg', 'deb', () => undefined],
    ['by rpm', 'rpm', () => undefined],
    ['from the archive', 'tarball', () => writeFileSync(path.join(dir, 'program/.list'), '')],
    ['by hand', null, () => undefined],
    ['without what carries an upgrade out', null, () => rmSync(path.join(dir, 'program/upgrade.sh'))],
  ])('%s', async (how, format, prepare) => {
    prepare();
    works = ([program]) => (how === 'by dpkg' && program === 'dpkg-query') || (how === 'by rpm' && program === 'rpm');
    expect(await upgrader().format()).toBe(format);
  });
});

describe('a package in the repository', () => {
  test('is staged and ordered, and the order has everything that the script needs', async () => {
    const upgrade = upgrader({ FAIRLEAD_UPGRADE_TRIAL: '8' });
    const staged = await upgrade.stage(wanted({ sha256: null }), files, NEVER);
    expect(readFileSync(state('package/fairlead.deb'))).toEqual(BODY);
    expect(upgrade.pending()).toBeNull();
    upgrade.order(staged, ['repository', 'broker']);
    expect(readFileSync(state('order'), 'utf8').trim().split('\n')).toEqual([
      ...['version=0.2.0', 'from=0.1.0', 'format=deb', 'file=fairlead.deb', `sha256=${SUM}`],
      ...['reached=repository broker', 'seconds=8'],
    ]);
    expect(readFileSync(state('upgrade.sh'), 'utf8')).toBe('upgrade.sh');
    expect(upgrade.pending()).toMatchObject({ version: '0.2.0', from: '0.1.0' });
  });

  test('that is stored on disk is copied from there', async () => {
    const kept = path.join(dir, 'kept');
    writeFileSync(kept, BODY);
    const stored = new StoredFile(kept, BODY.length, SUM);
    const payload = Object.assign(new Map<string, Uint8Array>(), { stored: () => stored });
    await upgrader().stage(wanted(), payload, NEVER);
    expect(readFileSync(state('package/fairlead.deb'))).toEqual(BODY);
  });

  test('of another digest is refused', async () => {
    const other = new Map([['hosts/a/f.deb', Buffer.from('other') as Uint8Array]]);
    expect(upgrader().digest(wanted(), other)).not.toBe(SUM);
    expect(upgrader().digest(wanted(), new Map())).toBeNull();
  });

  test('is not staged while another upgrade is finishing', async () => {
    works = () => true;
    await expect(upgrader().stage(wanted(), files, NEVER)).rejects.toMatchObject({ code: 'AgentUpgrading' });
  });
});

test('an order starts with a unit that is also started at boot; files of an earlier one are removed', async () => {
  const upgrade = upgrader();
  const staged = await upgrade.stage(wanted(), files, NEVER);
  writeFileSync(state('phase'), 'ended');
  upgrade.order(staged, []);
  expect(existsSync(state('phase'))).toBe(false);
  const stop = new AbortController();
  const over = upgrade.begin(stop.signal);
  stop.abort();
  await over;
  expect(readFileSync(path.join(units, 'multi-user.target.wants/fairlead-upgrade.service'), 'utf8')).toBe(
    'fairlead-upgrade.service',
  );
  expect(calls.slice(-2)).toEqual(['systemctl daemon-reload', 'systemctl start --no-block fairlead-upgrade.service']);
});

test('an order that systemd does not start is withdrawn', async () => {
  const upgrade = upgrader();
  upgrade.order(await upgrade.stage(wanted(), files, NEVER), []);
  works = () => false;
  await upgrade.begin(NEVER);
  expect(upgrade.pending()).toBeNull();
});

describe('an interrupted order is resumed by the next start of the agent', () => {
  const START = 'systemctl start --no-block fairlead-upgrade.service';
  const resume = async (upgrade: ReturnType<typeof upgrader>, stop = new AbortController()) => {
    const over = upgrade.resume(stop.signal);
    return { over, stop };
  };

  test('without an order, nothing is started', async () => {
    await upgrader().resume(NEVER);
    expect(calls).toEqual([]);
  });

  test('before the package was changed, no run begins until another version runs', async () => {
    const upgrade = upgrader();
    upgrade.order(await upgrade.stage(wanted(), files, NEVER), []);
    const { over, stop } = await resume(upgrade);
    let isOver = false;
    void over.then(() => {
      isOver = true;
    });
    await expect.poll(() => calls.at(-1)).toBe(START);
    expect(isOver).toBe(false);
    stop.abort();
    await over;
  });

  test('an agent on trial may begin runs', async () => {
    const upgrade = upgrader();
    upgrade.order(await upgrade.stage(wanted(), files, NEVER), []);
    writeFileSync(state('phase'), 'judging\n');
    await (await resume(upgrade)).over;
    expect(calls.at(-1)).toBe(START);
  });

  test('an order whose unit is active is left to it', async () => {
    const upgrade = upgrader();
    upgrade.order(await upgrade.stage(wanted(), files, NEVER), []);
    works = () => true;
    await upgrade.resume(NEVER);
    expect(calls.at(-1)).toContain('is-active');
  });
});

test('the result of an order is read, and a failed package is known until it is forgotten', () => {
  const upgrade = upgrader();
  expect(upgrade.result()).toBeNull();
  result('result');
  result(`bad/${SUM}`);
  const failed = {
    version: '0.2.0',
    verdict: 'failed',
    cause: 'silent',
    message: 'a=b',
    at: '1970-01-01T00:01:00.000Z',
  };
  expect(upgrade.result()).toMatchObject(failed);
  expect(upgrade.tried(SUM)).toMatchObject(failed);
  upgrade.forget(SUM);
  expect(upgrade.tried(SUM)).toBeNull();
});

describe('a package from a URL', () => {
  let server: https.Server;
  let base: string;
  let tls: string;
  beforeAll(async () => {
    tls = mkdtempSync(path.join(os.tmpdir(), 'fairlead-tls-'));
    const at = (name: string) => path.join(tls, name);
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', at('key')];
    execFileSync('openssl', ['req', '-x509', ...key, '-out', at('crt'), '-days', '2', ...subject], { stdio: 'ignore' });
    server = https.createServer({ key: readFileSync(at('key')), cert: readFileSync(at('crt')) }, (question, answer) => {
      const url = question.url ?? '';
      if (url === '/f.deb') return answer.end(BODY);
      if (url === '/moved.deb') return answer.writeHead(302, { location: '/f.deb' }).end();
      if (url === '/plain.deb') return answer.writeHead(302, { location: 'http://localhost/f.deb' }).end();
      if (url === '/circle.deb') return answer.writeHead(302, { location: '/circle.deb' }).end();
      if (url === '/endless.deb') {
        const timer = setInterval(() => answer.write(Buffer.alloc(64 * 1024)), 1);
        return answer.on('close', () => clearInterval(timer));
      }
      if (url === '/silent.deb') return undefined;
      return answer.writeHead(404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
    base = `https://localhost:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
    rmSync(tls, { recursive: true, force: true });
  });
  const get = (name: string, more: object = {}, signal = NEVER) =>
    download(`${base}${name}`, path.join(dir, 'got'), { ca: path.join(tls, 'crt'), env: {}, ...more }, signal);

  test.each(['/f.deb', '/moved.deb'])('%s is downloaded', async (name) => {
    await get(name);
    expect(readFileSync(path.join(dir, 'got'))).toEqual(BODY);
  });

  test.each<[string, string, object]>([
    ['/missing.deb', 'the server answered 404', {}],
    ['/plain.deb', 'it redirects to what is no https URL', {}],
    ['/circle.deb', 'it redirects more than 5 times', {}],
    ['/endless.deb', 'it is larger than 1 MiB', { maxBytes: 1024 * 1024 }],
    ['/silent.deb', 'nothing came for 0.2 s', { stallMs: 200 }],
    ['/silent.deb', 'it did not finish within 0.2 s', { totalMs: 200 }],
    ['/f.deb', 'certificate', { ca: undefined }],
  ])('%s is an outage: %s', async (name, why, more) => {
    const failure = await get(name, more).catch((thrown) => thrown);
    expect(failure).toMatchObject({ code: 'PackageUnreachable', retry: true });
    expect(failure.message).toContain(why);
  });

  test('is not downloaded further when the agent stops', async () => {
    await expect(get('/silent.deb', {}, AbortSignal.timeout(50))).rejects.toMatchObject({ code: 'Stopped' });
  });

  test('of another digest is refused, and nothing is ordered', async () => {
    const source = { url: `${base}/f.deb` };
    const upgrade = createUpgrader({
      ...{ version: '0.1.0', programDir: path.join(dir, 'program'), stateDir: path.join(dir, 'state') },
      ...{ repo: { ca: path.join(tls, 'crt') }, env: {}, exec, log: silentLog },
    });
    const failure = upgrade.stage(wanted({ source, sha256: 'b'.repeat(64) }), new Map(), NEVER);
    await expect(failure).rejects.toMatchObject({ code: 'PackageMismatch', retry: false });
    expect(await upgrade.stage(wanted({ source }), new Map(), NEVER)).toMatchObject({ sha256: SUM });
  });
});
