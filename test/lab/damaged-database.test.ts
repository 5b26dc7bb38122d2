/** The database is damaged in every way that a disk can: it is set aside and reported, and no managed resource is affected. */
import { afterAll, beforeAll, beforeEach, expect, onTestFailed, test } from 'vitest';
import type { HistoryDocument, ResourcesDocument } from '../../agent/control/protocol.ts';
import { differing, fairleadJson, identities, installAgent, NODE, statusWhere } from './agent.ts';
import { apiOf, statusOf } from './api.ts';
import { type FleetRepo, type Lab, type LabHost, startLab, until } from './lab.ts';
import { hostFiles, systemYaml, watched } from './story.ts';

const STATE = '/var/lib/fairlead';
const DB = `${STATE}/history.db`;
let lab: Lab;
let host: LabHost;
let repo: FleetRepo;
let before: Record<string, string>;
let declared: string[];

const synced = () =>
  statusWhere(lab.infra, 'edge-1', 'synced and healthy', (s) => s.sync === 'synced' && s.health === 'healthy');
const resources = async () =>
  (await fairleadJson<{ resources: ResourcesDocument['resources'] }>(host, 'resources')).resources;
const systemctl = (...argv: string[]) => host.exec(['systemctl', ...argv], { timeoutMs: 60_000 });
const listed = async (dir: string) => (await host.exec(['ls', dir])).stdout.trim().split('\n');
/** Node's own `fs`, `file` and its `size` are available. */
const damage = (script: string, file = DB) =>
  host.exec([NODE, '-e', `const fs=require('fs'),file='${file}',{size}=fs.statSync(file);${script}`]);
/** Writes `length` bytes of garbage at `at`. */
const GARBAGE = `const fd=fs.openSync(file,'r+');const spoil=(at,length)=>fs.writeSync(fd,Buffer.alloc(length,0xa5),0,length,at);`;

beforeAll(async () => {
  lab = await startLab({ name: 'damaged', hosts: [{ name: 'edge-1' }] });
  host = lab.host('edge-1');
  repo = await lab.infra.createRepo('fleet');
  await repo.commit(hostFiles('edge-1'), 'All well');
  await installAgent(host, { repoUrl: repo.httpUrl });
  await synced();
  before = await identities(host, watched);
  declared = (await resources()).map((r) => r.id).sort();
});
afterAll(async () => lab?.stop());
beforeEach(() => onTestFailed(async () => console.error(await host.journal('fairlead.service'))));

/** The agent, restarted with the damaged database, knows all managed resources and has changed none. */
async function expectAllKnown(): Promise<void> {
  await systemctl('start', 'fairlead.service');
  await until('a run of the new process', 150_000, async () => {
    const { agent, run, sync, health } = await statusOf(host);
    // If the history survived, the first status is that of the previous process.
    return run !== null && run.startedAt >= agent.startedAt && sync === 'synced' && health === 'healthy';
  });
  const now = await resources();
  expect(now.map((r) => r.id).sort()).toEqual(declared);
  expect(now.filter((r) => r.sync !== 'synced' || r.health !== 'healthy')).toEqual([]);
  const files = watched.files.filter((file) => file in before);
  expect(differing(before, await identities(host, { ...watched, files }))).toEqual([]);
  const { rows } = JSON.parse((await host.exec(['cat', `${STATE}/inventory.json`])).stdout) as {
    rows: { id: string; owned: boolean }[];
  };
  expect(rows.filter((r) => declared.includes(r.id) && !r.id.startsWith('check:')).map((r) => r.id)).toEqual(declared);
}

const setAsideFiles = async () =>
  (await listed(STATE)).filter((name) => /^history\.db\.corrupt-[^-]*-[^-]*-[^-]*$/.test(name));
const journalSays = async (text: string) => (await host.journal('fairlead.service')).split(text).length - 1;

test.each([
  ['overwritten header', `${GARBAGE}spoil(0,100)`],
  ['garbage at the head of every page but the first', `${GARBAGE}for(let at=4096;at<size;at+=4096)spoil(at,16)`],
  ['garbage in the middle of every page', `${GARBAGE}for(let at=0;at<size;at+=4096)spoil(at+1024,3072)`],
  ['truncated within a page', 'fs.truncateSync(file,Math.floor(size/2)+100)'],
  ['a file that is not a database', "fs.writeFileSync(file,'no database\\n'.repeat(1000))"],
])('a damaged database is set aside and its content restored: %s', async (_what, script) => {
  const had = await setAsideFiles();
  const said = await journalSays('it was set aside and a fresh one is begun');
  await systemctl('stop', 'fairlead.service');
  await damage(script);
  await expectAllKnown();
  const fresh = (await setAsideFiles()).filter((name) => !had.includes(name));
  expect(fresh).toHaveLength(1);
  expect(await journalSays('it was set aside and a fresh one is begun')).toBe(said + 1);
  expect(await journalSays(`${STATE}/${fresh[0]}`)).toBeGreaterThan(0);
});

test('a damaged write-ahead log after a kill loses the last writes, and no ownership', async () => {
  const repairs = async () =>
    (await apiOf(host).get<HistoryDocument>('history?resource=file%3A%2Fetc%2Fapp%2Fapp.conf&limit=50'))?.runs.length ??
    0;
  const had = await repairs();
  await host.sh('echo tampered > /etc/app/app.conf');
  await until('a repair, which is recorded', 60_000, async () => (await repairs()) > had);
  expect((await host.exec(['cat', '/etc/app/app.conf'])).stdout).toBe('hello\n');
  before = await identities(host, watched);
  await host.sh('systemctl kill --kill-whom=main -s KILL fairlead.service; systemctl stop fairlead.service');
  await damage(`${GARBAGE}spoil(0,size)`, `${DB}-wal`);
  await expectAllKnown();
});

test('a database that is damaged while the agent runs is created again at the next start at the latest, and repairs continue meanwhile', async () => {
  await damage(`${GARBAGE}spoil(0,size)`);
  await host.sh('echo tampered > /etc/app/motd');
  await until(
    'the repair',
    60_000,
    async () => (await host.exec(['cat', '/etc/app/motd'], { check: false })).stdout === 'welcome\n',
  );
  before = await identities(host, watched);
  const had = await setAsideFiles();
  await systemctl('stop', 'fairlead.service');
  await expectAllKnown();
  expect((await setAsideFiles()).length).toBeGreaterThanOrEqual(had.length);
});

test('a resource that is no longer declared is still removed, because its ownership is still known', async () => {
  const commit = await repo.commit(
    { 'hosts/edge-1/system.yaml': systemYaml().replace('  /etc/app/motd: {source: files/motd}\n', '') },
    'No motd any more',
  );
  await fairleadJson(host, 'sync');
  await statusWhere(lab.infra, 'edge-1', 'the new commit', (s) => s.sync === 'synced' && s.applied?.commit === commit);
  expect(await listed('/etc/app')).toEqual(['app.conf']);
});

test('if the inventory beside it is lost as well, everything is recognized, and adopted again', async () => {
  await systemctl('stop', 'fairlead.service');
  await damage(`${GARBAGE}spoil(0,4096)`);
  await damage('fs.writeFileSync(file,"[{")', `${STATE}/inventory.json`);
  declared = declared.filter((id) => id !== 'file:/etc/app/motd');
  before = await identities(host, { ...watched, files: watched.files.filter((f) => f !== '/etc/app/motd') });
  await expectAllKnown();
});
