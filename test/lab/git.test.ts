/** Git on a real host: nginx and `git http-backend`, gitolite over ssh, signatures, a rewound branch, a push notice. */
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import type { RunDocument } from '../../agent/control/protocol.ts';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import { fairlead, fairleadJson, installAgent, retained } from './agent.ts';
import { apiOf, statusOf } from './api.ts';
import { type FleetRepo, type Lab, type LabHost, startLab, until } from './lab.ts';

let lab: Lab;
let host: LabHost;
let repo: FleetRepo;
const MOTD = '/etc/motd.fleet';
const motd = (text: string) => ({ 'hosts/edge-1/system.yaml': `files:\n  ${MOTD}: {content: "${text}\\n"}\n` });

beforeAll(async () => {
  lab = await startLab({ name: 'git', hosts: [{ name: 'edge-1' }] });
  host = lab.host('edge-1');
  repo = await lab.infra.createRepo('fleet');
});
afterAll(async () => lab?.stop());

const withJournal = () =>
  onTestFailed(async () => console.error((await host.journal('fairlead.service')).split('\n').slice(-40).join('\n')));
const status = () => fairleadJson<StatusDocument>(host, 'status');
const shown = async () => (await host.exec(['cat', MOTD])).stdout.trim();

/** agent.yaml with these lines below `repo:`, and a restart. */
async function configure(...lines: string[]): Promise<void> {
  const text = [
    'host: edge-1',
    'repo:',
    ...lines.map((l) => `  ${l}`),
    'sync: {schedule: "0 0 1 1 *", splay: 0s}',
    'mqtt: {url: "mqtt://infra:1883"}',
    '',
  ];
  await host.write('/etc/fairlead/agent.yaml', text.join('\n'), '0600');
  await host.exec(['systemctl', 'restart', 'fairlead.service'], { timeoutMs: 60_000 });
  await fairlead(host, 'sync');
}

test('a commit for another host is seen, not applied; a push notice brings ours at once', async () => {
  withJournal();
  const first = await repo.commit(motd('one'), 'For edge-1', 'Ann <ann@example.com>');
  await installAgent(host, { repoUrl: repo.httpUrl });
  await fairlead(host, 'sync');
  expect(await shown()).toBe('one');

  const other = await repo.commit({ 'hosts/edge-2/system.yaml': 'files: {}\n' }, 'For edge-2', 'Bob <bob@example.com>');
  expect((await fairlead(host, 'sync')).code).toBe(0);
  const after = await status();
  expect([after.desired?.commit, after.applied?.commit, after.sync]).toEqual([other, first, 'synced']);
  const run = await fairlead(host, 'history', String(after.run?.id));
  expect(run.stdout).toMatch(/"For edge-2" by Bob <bob@example.com> \(seen, not for this host\)/);
  expect((await fairlead(host, 'show', `file:${MOTD}`)).stdout).toMatch(
    /"For edge-1" by Ann <ann@example.com>, committed by Lab/,
  );

  const second = await repo.commit(motd('two'), 'Again for edge-1');
  const told = await fairlead(host, 'notify', 'refs/heads/main', second);
  expect([told.code, told.stderr]).toEqual([0, '']);
  const pushed = await until('the pushed commit', 120_000, async () => {
    const now = await statusOf(host);
    return now.applied?.commit === second && now.sync === 'synced' && now.applied;
  });
  // The run that applied it, whatever came after it.
  const applied = await apiOf(host).get<RunDocument>(`history/${pushed.run}`);
  expect([await shown(), applied?.run.trigger]).toEqual(['two', 'push']);
  expect(await retained(lab.infra, 'fairlead/default/refs/main')).toBe(second);
  expect((await fairlead(host, 'notify', 'main', 'HEAD')).code).toBe(64);
  expect((await fairlead(host, 'notify', '--broker', 'mqtt://127.0.0.1:9', 'main', second)).code).toBe(3);
});

test('a rewound branch is held and named; --allow-rewind follows it', async () => {
  withJournal();
  const before = (await status()).desired?.commit ?? '';
  const old = (await lab.infra.exec(['git', '-C', '/srv/work/fleet', 'rev-parse', 'HEAD~1'])).stdout.trim();
  await repo.reset(old);
  const held = await fairlead(host, 'sync');
  expect([held.code, held.stdout]).toEqual([2, expect.stringContaining('fairlead sync --allow-rewind')]);
  expect(await status()).toMatchObject({
    sync: 'held',
    reason: 'HistoryRewritten',
    desired: { commit: old },
    applied: { commit: before },
  });
  expect(await shown()).toBe('two');
  expect((await fairlead(host, 'plan')).stdout).toMatch(/^held: .*HistoryRewritten/);
  expect((await fairlead(host, 'sync', '--allow-rewind')).code).toBe(0);
  expect(await shown()).toBe('one');
});

test('only commits that the allowed signers signed are applied', async () => {
  withJournal();
  const { infra } = lab;
  await infra.sh('test -f /root/ann || ssh-keygen -q -t ed25519 -N "" -C ann -f /root/ann');
  const key = (await infra.exec(['cat', '/root/ann.pub'])).stdout.trim();
  await host.write('/etc/fairlead/allowed_signers', `ann@example.com namespaces="git" ${key}\n`);
  await configure(`url: ${repo.httpUrl}`, 'verify: {allowedSigners: /etc/fairlead/allowed_signers}');
  const work = '/srv/work/fleet';
  const sign = 'git config gpg.format ssh; git config user.signingkey /root/ann; git config commit.gpgsign true';
  await infra.sh(`cd ${work}; ${sign}`);
  await repo.commit(motd('signed'), 'Signed');
  expect((await fairlead(host, 'sync')).code).toBe(0);
  expect(await shown()).toBe('signed');
  expect((await status()).desired?.signer).toBe('ann@example.com');

  await infra.sh(`cd ${work}; git config commit.gpgsign false`);
  const unsigned = await repo.commit(motd('unsigned'), 'Slipped in', 'Eve <eve@example.com>');
  expect((await fairlead(host, 'sync')).code).toBe(2);
  expect(await shown()).toBe('signed');
  expect(await status()).toMatchObject({
    sync: 'held',
    reason: 'Unsigned',
    desired: { commit: unsigned, signer: null },
  });
  await host.exec(['rm', MOTD]);
  // The accepted commit is repaired nevertheless.
  expect((await fairlead(host, 'sync')).code).toBe(2);
  expect(await shown()).toBe('signed');
});

test('gitolite over ssh: a deploy key, pinned host keys, first in version 0, then in 2', async () => {
  withJournal();
  const { infra } = lab;
  await host.sh('ssh-keygen -q -t ed25519 -N "" -C edge-1 -f /etc/fairlead/deploy_key');
  await infra.write('/tmp/edge-1.pub', (await host.exec(['cat', '/etc/fairlead/deploy_key.pub'])).stdout);
  await infra.sh(
    'useradd -rm -d /var/lib/gitolite3 -s /bin/bash gitolite3; chown gitolite3 /tmp/edge-1.pub; su -s /bin/sh gitolite3 -c "cd; gitolite setup -pk /tmp/edge-1.pub"',
  );
  // The repository that gitolite creates for its administrator serves as a fleet.
  const bare = '/var/lib/gitolite3/repositories/gitolite-admin.git';
  await infra.sh(
    `cd /tmp; rm -rf w; git clone -q ${bare} w; cd w; git checkout -q -B main; mkdir -p hosts/edge-1; cat > hosts/edge-1/system.yaml; git add -A;
    git -c user.name=Lab -c user.email=lab@example.com commit -q -m "By gitolite"; git -C ${bare} fetch -q /tmp/w main:main; chown -R gitolite3 ${bare}`,
    { input: `files:\n  ${MOTD}: {content: "by ssh\\n"}\n` },
  );
  const auth = 'auth: {sshKeyFile: /etc/fairlead/deploy_key, knownHostsFile: /etc/fairlead/known_hosts}';
  await host.sh('ssh-keygen -q -t ed25519 -N "" -f /tmp/other');
  const other = (await host.exec(['cat', '/tmp/other.pub'])).stdout;
  // An unknown host key, and a changed one.
  for (const [known, says] of [
    ['', "the server's key is not in /etc/fairlead/known_hosts; add the line"],
    [`infra ${other}`, "the server's key is not the one in /etc/fairlead/known_hosts: somebody may listen in"],
  ] as const) {
    await host.write('/etc/fairlead/known_hosts', known);
    await configure('url: gitolite3@infra:gitolite-admin', auth);
    expect((await status()).problems).toMatchObject([
      { reason: 'HostKeyUnknown', message: expect.stringContaining(says) },
    ]);
    expect(await shown()).toBe('signed');
    // Not even if a person could be asked; and no key is stored.
    const { stdout } = await host.exec(['script', '-qec', 'fairlead doctor', '/dev/null'], { check: false });
    expect(stdout).toMatch(/ssh-keyscan/);
    expect(stdout).not.toMatch(/yes\/no|password:/i);
    expect((await host.exec(['cat', '/etc/fairlead/known_hosts'])).stdout).toBe(known);
  }
  await host.sh('ssh-keyscan -t ed25519 infra > /etc/fairlead/known_hosts 2>/dev/null');
  expect((await fairlead(host, 'sync')).code).toBe(0);
  expect(await shown()).toBe('by ssh');
  expect(await host.journal('fairlead.service')).toMatch(/whole commits are fetched.*version 0 of the git protocol/);

  await infra.sh(`echo "AcceptEnv GIT_PROTOCOL" > /etc/ssh/sshd_config.d/git.conf; systemctl reload ssh`);
  await infra.sh(
    `cd /tmp/w; sed -i "s/by ssh/by version 2/" hosts/edge-1/system.yaml; git -c user.name=Lab -c user.email=l@x commit -qam two; git -C ${bare} fetch -q /tmp/w main:main; chown -R gitolite3 ${bare}`,
  );
  await configure('url: gitolite3@infra:gitolite-admin', auth);
  expect(await shown()).toBe('by version 2');
  const pid = await host.exec(['systemctl', 'show', '-p', 'MainPID', '--value', 'fairlead.service']);
  const { stdout } = await host.exec([
    'journalctl',
    '-u',
    'fairlead.service',
    '-o',
    'cat',
    `_PID=${pid.stdout.trim()}`,
  ]);
  expect(stdout).not.toMatch(/whole commits/);

  await host.exec(['mv', '/etc/fairlead/deploy_key', '/etc/fairlead/other']);
  await fairlead(host, 'sync');
  expect((await status()).problems).toMatchObject([
    {
      reason: 'AuthenticationFailed',
      message: expect.stringContaining('/etc/fairlead/deploy_key cannot be read: there is no such file'),
    },
  ]);
});
