/** The daemon runs checks between runs. The schedule is once a year, so only the watcher can notice a turn. */
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import { fairleadJson, installAgent, isOfAnother, statusWhere } from './agent.ts';
import { type EventsHeard, hearEvents } from './events.ts';
import { type FleetRepo, type Lab, type LabHost, startLab, until } from './lab.ts';

let lab: Lab;
let host: LabHost;
let repo: FleetRepo;
let heard: EventsHeard;

/** As many slow checks as run in parallel: they must not delay the others. */
const SLOW = 4;
const manifest = (path: string) => `checks:
  web: {http: "http://127.0.0.1:8088/${path}", expect: 200, within: 2s, every: 1s}
  port: {tcp: "127.0.0.1:8088", within: 2s, every: 1s}
  file: {run: [test, -e, /srv/good], within: 3s, every: 1s}
${Array.from({ length: SLOW }, (_, i) => `  slow-${i}: {run: [sleep, "0.5"], every: 1s}\n`).join('')}`;

beforeAll(async () => {
  lab = await startLab({ name: 'checks', hosts: [{ name: 'edge-1' }] });
  host = lab.host('edge-1');
  repo = await lab.infra.createRepo('fleet');
  await host.sh(
    'printf "server { listen 8088; root /srv; }" > /etc/nginx/conf.d/check.conf; rm -f /etc/nginx/sites-enabled/*; touch /srv/good /srv/other; systemctl start nginx',
  );
  const commit = await repo.commit({ 'hosts/edge-1/a.yaml': manifest('good') }, 'Checks');
  heard = await hearEvents(lab.infra, 'edge-1');
  await installAgent(host, { repoUrl: repo.httpUrl });
  await statusWhere(lab.infra, 'edge-1', 'healthy', (s) => s.applied?.commit === commit && s.health === 'healthy');
});
afterAll(async () => lab?.stop());

const status = () => fairleadJson<StatusDocument>(host, 'status');
const failing = (s: StatusDocument) => s.problems.map((p) => p.id).sort();
/** The reported turns of checks, e.g. `check:web degraded`. */
async function turns(): Promise<string[]> {
  const told = (await heard.all()).filter((e) => e.type === 'drift' && e.data.health);
  return told.map((e) => `${e.data.resource} ${e.data.health}`);
}
/** Waits until the status at the broker names exactly these as failing. */
const seen = (...ids: string[]) =>
  statusWhere(lab.infra, 'edge-1', ids.length > 0 ? `failing: ${ids.join(', ')}` : 'well', isAs(ids));
const isAs = (ids: string[]) => (s: StatusDocument) =>
  JSON.stringify(failing(s)) === JSON.stringify(ids) && s.health === (ids.length > 0 ? 'degraded' : 'healthy');

test('a server that stops is noticed, reported once, and rolls nothing back; so is its return', async () => {
  onTestFailed(async () => console.error(await host.journal('fairlead.service')));
  const before = await status();
  for (const round of [1, 2]) {
    await host.exec(['systemctl', 'stop', 'nginx']);
    const sick = await seen('check:port', 'check:web');
    expect(sick).toMatchObject({ sync: 'synced', applied: before.applied, bad: [] });
    expect(sick.problems.find((p) => p.id === 'check:web')?.message).toMatch(
      /^did not pass within 2 s: http:.*ECONNREFUSED/,
    );
    await host.exec(['systemctl', 'start', 'nginx']);
    await seen();
    await until('the events', 60_000, async () => (await turns()).length === 4 * round);
  }
  expect((await turns()).slice(0, 4).sort()).toEqual([
    'check:port degraded',
    'check:port healthy',
    'check:web degraded',
    'check:web healthy',
  ]);
  expect(failing(await status())).toEqual([]);
});

test('a program that fails is noticed as well, and a restarted agent does not report it again', async () => {
  onTestFailed(async () => console.error(await host.journal('fairlead.service')));
  const told = (await turns()).length;
  await host.exec(['rm', '/srv/good']);
  // nginx has lost its file, too.
  await seen('check:file', 'check:web');
  const { instance } = (await status()).agent;
  await host.exec(['systemctl', 'restart', 'fairlead.service']);
  const hasLooked = isOfAnother(instance);
  const isSick = isAs(['check:file', 'check:web']);
  await statusWhere(lab.infra, 'edge-1', 'the same, by the new agent', (s) => hasLooked(s) && isSick(s));
  await host.exec(['touch', '/srv/good']);
  await seen();
  await until('the events', 60_000, async () => (await turns()).length >= told + 4);
  expect((await turns()).slice(told).sort()).toEqual([
    'check:file degraded',
    'check:file healthy',
    'check:web degraded',
    'check:web healthy',
  ]);
});

test('after a new commit the new declaration is checked, and the old one is not', async () => {
  onTestFailed(async () => console.error(await host.journal('fairlead.service')));
  const commit = await repo.commit({ 'hosts/edge-1/a.yaml': manifest('other') }, 'Another page');
  await fairleadJson(host, 'sync');
  expect((await status()).applied?.commit).toBe(commit);
  await host.exec(['mv', '/srv/other', '/srv/gone']);
  await seen('check:web');
  await host.exec(['mv', '/srv/gone', '/srv/other']);
  await seen();
});
