/** Kernel settings on a real host, by the agent in its own unit. Only those of the host's own network namespace are changed. */
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import type { HistoryDocument } from '../../agent/control/protocol.ts';
import type { PlanDocument } from '../../manifests-schema/documents.ts';
import { fairlead, fairleadJson, installAgent, statusWhere } from './agent.ts';
import { statusOf } from './api.ts';
import { type FleetRepo, type Lab, type LabHost, startLab, until } from './lab.ts';

let lab: Lab;
let host: LabHost;
let repo: FleetRepo;

const SETTING = '/proc/sys/net/ipv4/tcp_keepalive_time';
const FILE = '/etc/sysctl.d/zz-fairlead.conf';
const ID = 'sysctl:net.ipv4.tcp_keepalive_time';
const ANCHOR = 'files: {/srv/anchor: {content: x}}\n';
const declared = (value: string) => `${ANCHOR}sysctls: {net.ipv4.tcp_keepalive_time: "${value}"}\n`;

beforeAll(async () => {
  lab = await startLab({ name: 'sysctls', hosts: [{ name: 'edge-1' }] });
  host = lab.host('edge-1');
  repo = await lab.infra.createRepo('fleet');
  await host.sh(`echo 7000 > ${SETTING}`);
  await commit(declared('600'));
  await installAgent(host, { repoUrl: repo.httpUrl });
  await settled();
});
afterAll(async () => lab?.stop());

let last = '';
const commit = async (yaml: string) => {
  last = await repo.commit({ 'hosts/edge-1/kernel.yaml': yaml }, 'Settings');
};
const settled = () =>
  statusWhere(
    lab.infra,
    'edge-1',
    `synced to ${last.slice(0, 7)}`,
    (s) => s.applied?.commit === last && s.sync === 'synced',
  );
const sync = async (yaml: string) => {
  await commit(yaml);
  const { code, stdout, stderr } = await fairlead(host, 'sync');
  expect(code, stdout + stderr).toBe(0);
};
const value = async () => (await host.exec(['cat', SETTING])).stdout.trim();
const withJournal = () => onTestFailed(async () => console.error(await host.journal('fairlead.service')));

test("a setting is applied at once under the protection of the agent's unit, and its file is writable only for root", async () => {
  withJournal();
  expect(await value()).toBe('600');
  expect((await host.exec(['stat', '-c', '%a %U %G', FILE])).stdout).toBe('644 root root\n');
  expect((await host.exec(['grep', '-v', '^#', FILE])).stdout).toBe('net.ipv4.tcp_keepalive_time = 600\n');
});

test('systemd applies a setting at boot from its file', async () => {
  withJournal();
  await host.sh(`echo 5 > ${SETTING}; /usr/lib/systemd/systemd-sysctl --prefix=/net/ipv4/tcp_keepalive_time`);
  expect(await value()).toBe('600');
});

test('a change by somebody else is noticed without an event, repaired, and reported as drift', async () => {
  withJournal();
  await host.sh(`echo 1234 > ${SETTING}`);
  await until(`${SETTING} to be repaired`, 200_000, async () => (await value()) === '600');
  const repaired = await until('history of the repair', 60_000, async () => {
    const { runs } = await fairleadJson<HistoryDocument>(host, 'history', '--resource', ID);
    return runs.find((run) => run.trigger === 'drift') ?? false;
  });
  expect(repaired.repaired).toBe(1);
});

test('the plan names a file that would override it at boot, and so does the status while that file exists', async () => {
  withJournal();
  await host.write('/etc/sysctl.d/zzz-admin.conf', 'net.ipv4.tcp_keepalive_time = 99\n');
  await commit(declared('650'));
  const { actions } = await fairleadJson<PlanDocument>(host, 'plan');
  expect(actions.find((action) => action.id === ID)?.why).toEqual([
    { field: 'value', from: '600', to: '650' },
    { field: 'at boot', from: '600', to: '650' },
    { field: 'overridden', to: '/etc/sysctl.d/zzz-admin.conf sets 99 at each boot; remove it there' },
  ]);
  await sync(declared('650'));
  expect(await value()).toBe('650');
  const named = await until('the other file to be a problem', 150_000, async () => {
    const { problems } = await statusOf(host);
    return problems.find((problem) => problem.reason === 'Contended') ?? false;
  });
  expect(named.message).toContain('/etc/sysctl.d/zzz-admin.conf sets net.ipv4.tcp_keepalive_time = 99 at each boot');
  await host.exec(['rm', '/etc/sysctl.d/zzz-admin.conf']);
});

test("a value that the kernel refuses fails with the kernel's error, and the previous value is restored", async () => {
  withJournal();
  await commit(declared('never'));
  const { code, stdout, stderr } = await fairlead(host, 'sync');
  expect(code).not.toBe(0);
  expect(stdout + stderr).toContain('the kernel refuses "never" with EINVAL');
  await until('the rollback', 60_000, async () => (await value()) === '650');
  await sync(declared('660'));
});

test('a removed setting gets its value from before the takeover', async () => {
  withJournal();
  await sync(ANCHOR);
  expect(await value()).toBe('7000');
  expect((await host.exec(['test', '-e', FILE], { check: false })).code).toBe(1);
});

test('a value that somebody else set in between stays', async () => {
  withJournal();
  await sync(declared('600'));
  await host.exec(['fairlead', 'pause']);
  await host.sh(`echo 1234 > ${SETTING}`);
  await commit(ANCHOR);
  await host.exec(['fairlead', 'resume']);
  await until('the removal', 60_000, async () => (await host.exec(['test', '-e', FILE], { check: false })).code === 1);
  expect(await value()).toBe('1234');
});
