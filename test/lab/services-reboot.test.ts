/** Services that completed, and services that only ended because their Docker engine or host was stopped: both exit with 0. */
import { afterAll, beforeAll, beforeEach, expect, onTestFailed, test } from 'vitest';
import { fairlead, installAgent, statusWhere } from './agent.ts';
import { type FleetRepo, type Lab, type LabHost, startLab, until } from './lab.ts';

let lab: Lab;
let host: LabHost;
let repo: FleetRepo;
let commit: string;

const shell = (script: string) => `command: ["/bin/busybox", "sh", "-c", "${script}"]`;
/** `restart: no`, which is the default of a compose file. Each start writes a line. */
const STACK = `services:
  once:
    image: infra:5000/app:1
    volumes: ["/srv/out:/out"]
    ${shell('echo begun >> /out/once')}
  steady:
    image: infra:5000/app:1
    stop_signal: SIGTERM
    volumes: ["/srv/out:/out"]
    deploy: {update_config: {monitor: 1s}}
    ${shell("trap 'exit 0' TERM; echo begun >> /out/steady; while :; do sleep 0.2; done")}
`;
const starts = async (name: string) => Number((await host.sh(`cat /srv/out/${name} 2>/dev/null | wc -l`)).stdout);
const state = async (name: string) =>
  (
    await host.exec(['docker', 'inspect', '-f', '{{.State.Status}} {{.State.ExitCode}}', `shop-${name}-1`])
  ).stdout.trim();
const well = () =>
  statusWhere(
    lab.infra,
    'edge-1',
    'well',
    (s) => s.sync === 'synced' && s.health === 'healthy' && s.applied?.commit === commit,
    200_000,
  );

beforeAll(async () => {
  lab = await startLab({ name: 'reboot', hosts: [{ name: 'edge-1' }] });
  host = lab.host('edge-1');
  repo = await lab.infra.createRepo('fleet');
  await host.sh('mkdir -p /srv/out');
  commit = await repo.commit({ 'hosts/edge-1/shop/compose.yaml': STACK }, 'Two');
  await installAgent(host, { repoUrl: repo.httpUrl });
  await well();
});
afterAll(async () => lab?.stop());
beforeEach(() =>
  onTestFailed(async () => console.error((await host.journal('fairlead.service')).split('\n').slice(-40).join('\n'))),
);

test('after a restart of the Docker engine, running services run again, and completed ones do not', async () => {
  expect([await starts('once'), await starts('steady')]).toEqual([1, 1]);
  await host.exec(['systemctl', 'restart', 'docker.service'], { timeoutMs: 90_000 });
  await until('a second start', 150_000, async () => (await starts('steady')) === 2);
  await fairlead(host, 'sync');
  await well();
  expect([await starts('once'), await starts('steady'), await state('once')]).toEqual([1, 2, 'exited 0']);
});

test('after a shutdown and a boot of the host, running services run again, and completed ones do not', async () => {
  const before = await starts('steady');
  // In the order in which systemd stops them, the agent before its dependencies.
  await host.exec(['systemctl', 'stop', 'fairlead.service'], { timeoutMs: 60_000 });
  await host.exec(['systemctl', 'stop', 'docker.socket', 'docker.service', 'containerd.service'], {
    timeoutMs: 90_000,
  });
  await host.powerOff();
  await host.powerOn();
  await until('another start', 150_000, async () => (await starts('steady')) === before + 1);
  await fairlead(host, 'sync');
  await well();
  expect([await starts('once'), await starts('steady'), await state('once')]).toEqual([1, before + 1, 'exited 0']);
});

test('a service that completes while only the agent is stopped has completed', async () => {
  await host.exec(['systemctl', 'stop', 'fairlead.service'], { timeoutMs: 60_000 });
  await host.exec(['docker', 'restart', 'shop-once-1']);
  await until('its end', 120_000, async () => (await starts('once')) === 2 && (await state('once')) === 'exited 0');
  await host.exec(['systemctl', 'start', 'fairlead.service'], { timeoutMs: 60_000 });
  await fairlead(host, 'sync');
  await well();
  expect([await starts('once'), await state('once')]).toEqual([2, 'exited 0']);
});
