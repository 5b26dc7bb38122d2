/** The daemon as a service of systemd: stopped during work, hung, reloaded with a new agent.yaml, logging to the journal. */
import { afterAll, beforeAll, beforeEach, expect, onTestFailed, test } from 'vitest';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import { differing, fairlead, identities, installAgent, statusWhere } from './agent.ts';
import { type FleetRepo, type Lab, type LabHost, startLab, until } from './lab.ts';
import { composeYaml, hostFiles, watched } from './story.ts';

const H = 'hosts/edge-1';
let lab: Lab;
let host: LabHost;
let repo: FleetRepo;

beforeAll(async () => {
  lab = await startLab({ name: 'systemd-service', hosts: [{ name: 'edge-1' }] });
  host = lab.host('edge-1');
  repo = await lab.infra.createRepo('fleet');
  await repo.commit(hostFiles('edge-1'), 'All well');
  await installAgent(host, { repoUrl: repo.httpUrl });
  // systemd itself judges: a stop that takes longer ends as `timeout`.
  await host.write(
    '/etc/systemd/system/fairlead.service.d/strict.conf',
    '[Service]\nTimeoutStopSec=10s\nWatchdogSec=30s\n',
  );
  await host.exec(['systemctl', 'daemon-reload']);
  await host.exec(['systemctl', 'restart', 'fairlead.service']);
  await synced();
});
afterAll(async () => lab?.stop());
beforeEach(() => onTestFailed(async () => console.error(await host.journal('fairlead.service'))));

const synced = (commit?: string) =>
  statusWhere(
    lab.infra,
    'edge-1',
    'synced and healthy',
    (s) => s.sync === 'synced' && s.health === 'healthy' && (commit === undefined || s.applied?.commit === commit),
  );
const property = async (name: string, unit = 'fairlead.service') =>
  (await host.exec(['systemctl', 'show', '--value', '-p', name, unit])).stdout.trim();
/** Stops the agent as systemd does, and returns the result; managed resources must not be affected. */
async function stopsWell(): Promise<void> {
  const before = await identities(host, watched);
  await host.exec(['systemctl', 'stop', 'fairlead.service'], { timeoutMs: 60_000 });
  expect([await property('ActiveState'), await property('Result')]).toEqual(['inactive', 'success']);
  expect(differing(before, await identities(host, watched))).toEqual([]);
}

test('an agent that is stopped during a pull that hangs ends in time, and no managed resource is affected', async () => {
  await lab.infra.sh('kill -STOP $(pidof docker-registry)');
  const commit = await repo.commit(
    { [`${H}/shop/compose.yaml`]: composeYaml({ webImage: 'infra:5000/app:2' }) },
    'A pull that hangs',
  );
  await fairlead(host, 'sync', '--no-wait');
  await until('the engine to ask the registry', 60_000, async () =>
    /:5000\b/.test((await host.exec(['ss', '-Htn', 'state', 'established', 'dport', '=', ':5000'])).stdout),
  );
  await stopsWell();
  await lab.infra.sh('kill -CONT $(pidof docker-registry)');
  await host.exec(['systemctl', 'start', 'fairlead.service']);
  expect((await synced(commit)).bad).toEqual([]);
});

test('an agent that is stopped during a job ends the job, which the next start runs again', async () => {
  const job = 'jobs: {long: {run: [sh, -c, "echo began >> /run/long; until test -e /run/go; do sleep 0.1; done"]}}\n';
  const commit = await repo.commit({ [`${H}/job.yaml`]: job }, 'A long job');
  await fairlead(host, 'sync', '--no-wait');
  const began = async () => (await host.exec(['cat', '/run/long'])).stdout.split('\n').length - 1;
  await until('the job to run', 60_000, async () => (await began()) === 1);
  await stopsWell();
  await until(
    'the job to be ended',
    60_000,
    async () => (await property('ActiveState', 'fairlead-job-long.service')) === 'inactive',
  );
  await host.exec(['touch', '/run/go']);
  await host.exec(['systemctl', 'start', 'fairlead.service']);
  await synced(commit);
  expect(await began()).toBe(2);
});

test('a process that hangs is killed and restarted by the watchdog; managed resources keep running', async () => {
  const before = await identities(host, watched);
  const { instance } = (await synced()).agent;
  const pid = await property('MainPID');
  await host.exec(['kill', '-STOP', pid]);
  await until('systemd to start another one', 120_000, async () => {
    const now = await property('MainPID');
    return now !== pid && now !== '0';
  });
  expect(await host.journal('fairlead.service')).toMatch(/Watchdog timeout/);
  // The broker has the status of the hung process until the new one is up.
  const isNew = (s: StatusDocument) => s.agent.instance !== instance && s.sync === 'synced' && s.health === 'healthy';
  await statusWhere(lab.infra, 'edge-1', 'synced and healthy again', isNew);
  expect(differing(before, await identities(host, watched))).toEqual([]);
  // A process whose event loop turns is left alone: it survived the tests before.
  expect((await host.journal('fairlead.service')).match(/Watchdog timeout/g)).toHaveLength(1);
});

test('systemctl reload applies a changed agent.yaml, without a new process', async () => {
  const pid = await property('MainPID');
  await host.sh("printf 'labels: {site: berlin}\\n' >> /etc/fairlead/agent.yaml; systemctl reload fairlead");
  await statusWhere(lab.infra, 'edge-1', 'the label', (s) => s.labels.site === 'berlin' && s.sync === 'synced');
  expect(await property('MainPID')).toBe(pid);
});

test('each line has its priority in the journal, and those of a run name it and the resource', async () => {
  await repo.commit({ [`${H}/wrong.yaml`]: 'files: {/etc/hostname/below/a/file: {content: x}}\n' }, 'Cannot be');
  await fairlead(host, 'sync');
  await repo.commit({ [`${H}/wrong.yaml`]: null }, 'Without it');
  const commit = await repo.commit({ [`${H}/files/motd`]: 'well again\n' }, 'Well again');
  await fairlead(host, 'sync');
  await synced(commit);
  const { stdout } = await host.exec([
    ...['journalctl', '-u', 'fairlead.service', '-o', 'json', '--no-pager', '_SYSTEMD_UNIT=fairlead.service'],
  ]);
  const lines = stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as { PRIORITY: string; MESSAGE: string; SYSLOG_IDENTIFIER: string })
    .filter((l) => l.SYSLOG_IDENTIFIER === 'node' || l.SYSLOG_IDENTIFIER === 'fairlead');
  const of = (pattern: RegExp) => new Set(lines.filter((l) => pattern.test(l.MESSAGE)).map((l) => l.PRIORITY));
  expect(of(/run finished/)).toEqual(new Set(['6']));
  expect(lines.filter((l) => /^<\d>/.test(l.MESSAGE))).toEqual([]);
  const errors = await host.exec(['journalctl', '-u', 'fairlead.service', '-p', 'err', '--no-pager', '-o', 'cat']);
  expect(errors.stdout).toMatch(/run=\d+ +resource=file:\/etc\/hostname\/below\/a\/file/);
  expect(errors.stdout).not.toMatch(/run finished/);
});
