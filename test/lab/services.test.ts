/** Services on the Docker engine: adoption of differing containers, updates in place. Creation is in services-compared.test.ts. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EngineOn, engineOn } from './engine-on.ts';
import { type Lab, type LabHost, startLab } from './lab.ts';
import { asRepo, PROJECTS } from './projects.ts';

let lab: Lab;
let ours: LabHost;
let engine: EngineOn;
const repo = asRepo(Object.fromEntries(['limits', 'networks', 'pair'].map((name) => [name, PROJECTS[name] ?? {}])));

beforeAll(async () => {
  lab = await startLab({ name: 'services', infra: 'shared', hosts: [{ name: 'ours' }] });
  ours = lab.host('ours');
  engine = await engineOn(ours);
});
afterAll(async () => {
  engine?.close();
  await lab?.stop();
});

/** Without a healthcheck a container counts as well after this time. */
const SOON = 'deploy: {update_config: {monitor: 500ms}}';

describe('a differing container of docker compose', () => {
  let adopting: EngineOn;
  const containers = async () =>
    (await ours.sh("docker inspect -f '{{.Name}} {{.Id}} {{.State.StartedAt}}' $(docker ps -aq)")).stdout
      .trim()
      .split('\n')
      .sort();
  const composeUp = async (dir: string, files: Record<string, string>) => {
    for (const [file, text] of Object.entries(files)) await ours.write(`${dir}/${file}`, text);
    await ours.exec(['docker', 'compose', 'up', '-d', '--quiet-pull'], { cwd: dir });
  };
  beforeAll(async () => {
    adopting = await engineOn(ours);
  });
  afterAll(() => adopting?.close());

  test('is held, field by field, until adoption is requested', async () => {
    const late = (hostname: string, top = '') =>
      `${top}services:\n  web:\n    image: infra:5000/app:1\n    ${SOON}\n    hostname: ${hostname}\n    environment: {KEPT: "1", GONE: "${hostname}"}\n`;
    await composeUp('/opt/late', { 'compose.yaml': late('one').replace('GONE', 'OLD') });
    const before = await containers();
    const held = await adopting.apply({ 'late/compose.yaml': late('two') });
    const action = held.outcome.actions.find((a) => a.id === 'service:late/web');
    expect(action).toMatchObject({
      op: 'replace',
      result: 'held',
      why: [
        { field: 'environment', to: 'GONE added; OLD removed' },
        { field: 'hostname', from: 'one', to: 'two' },
      ],
    });
    expect(held.run).toMatchObject({ sync: 'held', reason: 'NotAdopted' });
    expect(held.run.message).toMatch(
      /late-web-1 was not started by fairlead and differs .* in environment, hostname; set x-fairlead.adopt/,
    );
    const late1 = (lines: string[]) => lines.filter((line) => line.startsWith('/late-web-1 '));
    expect(late1(await containers())).toEqual(late1(before));
    expect(adopting.store.inventory.list().map((row) => row.id)).not.toContain('service:late/web');

    const asked = await adopting.again({ adopt: true });
    expect(asked.outcome.actions.map((a) => `${a.op} ${a.id} ${a.result}`)).toEqual(['replace service:late/web done']);
    expect(asked.run.sync).toBe('synced');
    expect((await adopting.again()).outcome.actions).toEqual([]);
  });

  test('of a stack with relative paths is adopted with its directory, and project_directory has the same effect', async () => {
    const text = 'services:\n  web:\n    image: infra:5000/app:1\n    volumes: ["./conf:/etc/conf:ro"]\n';
    await composeUp('/opt/apps/placed', { 'compose.yaml': text, 'conf/a.conf': 'a\n' });
    const only = async () => (await containers()).filter((line) => line.startsWith('/placed-web-1 '));
    const before = await only();
    const placed = { 'placed/compose.yaml': text, 'placed/conf/a.conf': 'a\n' };
    const { issues } = await adopting.load(placed);
    expect(issues.map((i) => i.message)).toEqual([expect.stringContaining('project_directory: /opt/apps/placed')]);
    const here = (await adopting.apply(placed)).outcome.actions.filter((a) => a.id.includes('placed'));
    expect(here.filter((a) => !a.id.startsWith('file:'))).toEqual([]);
    expect(await only()).toEqual(before);
    const taken = await adopting.apply({
      ...placed,
      'placed/compose.yaml': `x-fairlead: {project_directory: /opt/apps/placed}\n${text}`,
    });
    expect(taken.run.sync).toBe('synced');
    expect(taken.outcome.actions.filter((a) => !a.id.startsWith('file:'))).toEqual([]);
    expect(await only()).toEqual(before);
    await ours.sh('docker rm -fv $(docker ps -aq)');
  });
});

describe('updates in place', () => {
  beforeAll(async () => {
    expect((await engine.apply(repo)).outcome.problems).toEqual([]);
  });
  const idOf = async (name: string) => (await ours.exec(['docker', 'inspect', '-f', '{{.Id}}', name])).stdout.trim();
  const change = (project: string, ...words: [from: string, to: string][]) => {
    const file = `${project}/compose.yaml`;
    let text = repo[file] ?? '';
    for (const [from, to] of words) {
      expect(text).toContain(from);
      text = text.replace(from, to);
    }
    repo[file] = text;
  };

  test('limits, restart policy and networks change while the container runs', async () => {
    const before = await Promise.all([idOf('limits-web-1'), idOf('networks-web-1')]);
    change(
      'limits',
      ['mem_limit: 64m', 'mem_limit: 80m'],
      ['cpus: 0.5', 'cpus: 0.25'],
      ['pids_limit: 50', 'pids_limit: 60'],
      ['unless-stopped', 'always'],
    );
    change(
      'networks',
      ['aliases: [one, two]', 'aliases: [one, three]'],
      ['  front: {mac_address: "02:42:0a:5b:00:99"}\n', '  third: {}\n'],
      ['networks:\n  back: {driver', 'networks:\n  third: {}\n  back: {driver'],
    );
    const { outcome } = await engine.apply(repo);
    expect(outcome.problems).toEqual([]);
    expect(outcome.actions.map((a) => [a.op, a.id, a.why.map((r) => r.field)])).toEqual([
      ['create', 'network:networks/third', ['state']],
      ['update', 'service:limits/web', ['restart', 'mem_limit', 'cpus', 'pids_limit']],
      ['update', 'service:networks/web', ['networks', 'networks.networks_back.aliases', 'networks']],
      ['remove', 'network:networks/front', ['declaration']],
    ]);
    expect(await Promise.all([idOf('limits-web-1'), idOf('networks-web-1')])).toEqual(before);
    const { stdout } = await ours.sh(
      "docker inspect -f '{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}} {{.HostConfig.RestartPolicy.Name}}' limits-web-1; docker inspect -f '{{range $n, $v := .NetworkSettings.Networks}}{{$n}} {{end}}' networks-web-1",
    );
    expect(stdout.trim()).toBe(`${80 * 2 ** 20} 250000000 60 always\nnetworks_back networks_third`);
    expect((await engine.again()).outcome.actions).toEqual([]);
  });

  test('services that share a namespace follow its container; dependents with restart: true restart', async () => {
    const before = await Promise.all(['pair-db-1', 'pair-side-1', 'pair-web-1'].map(idOf));
    change('pair', ['infra:5000/app:2', 'infra:5000/app:3']);
    const { outcome } = await engine.apply(repo);
    expect(outcome.problems).toEqual([]);
    const after = await Promise.all(['pair-db-1', 'pair-side-1', 'pair-web-1'].map(idOf));
    expect(after.map((id, i) => id === before[i])).toEqual([false, false, true]);
    expect(outcome.actions.map((a) => `${a.op} ${a.id}`).sort()).toEqual([
      'refresh service:pair/side',
      'refresh service:pair/web',
      'replace service:pair/db',
    ]);
    expect((await engine.again()).outcome.actions).toEqual([]);
  });
});
