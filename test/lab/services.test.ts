/** Services on the engine: the very requests that docker compose makes, adoption without a restart, gentle changes. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { type EngineOn, engineOn } from './engine-on.ts';
import { ALLOWED, differing, type Inspected, inspectAll, mutants } from './inspected.ts';
import { type Lab, type LabHost, startLab } from './lab.ts';
import { PROJECTS } from './services-projects.ts';

let lab: Lab;
let oracle: LabHost;
let ours: LabHost;
let engine: EngineOn;
const TREE = '/var/lib/fairlead/tree/hosts/h';

/** All projects as files of one host's directory. */
const repo = Object.fromEntries(
  Object.entries(PROJECTS).flatMap(([name, files]) =>
    Object.entries(files).map(([file, text]) => [`${name}/${file}`, text]),
  ),
);

async function composeUp(host: LabHost): Promise<void> {
  for (const [file, text] of Object.entries(repo)) await host.write(`${TREE}/${file}`, text);
  await host.sh(
    `set -e; for p in ${Object.keys(PROJECTS).join(' ')}; do cd ${TREE}/$p; docker compose up -d --quiet-pull 2>&1 || { echo "$p failed"; exit 1; }; done`,
  );
}

beforeAll(async () => {
  lab = await startLab({ name: 'services', hosts: [{ name: 'oracle' }, { name: 'ours' }] });
  [oracle, ours] = [lab.host('oracle'), lab.host('ours')];
  for (const host of [oracle, ours]) await host.sh('docker network create outside && docker volume create kept');
  engine = await engineOn(ours);
});
afterAll(async () => {
  engine?.close();
  await lab?.stop();
});

describe('what is made', () => {
  let theirs: Inspected;
  let mine: Inspected;

  test('by both tools from the same projects', async () => {
    const [, result] = await Promise.all([composeUp(oracle), engine.apply(repo)]);
    expect(result.outcome.problems).toEqual([]);
    [theirs, mine] = [await inspectAll(oracle), await inspectAll(ours)];
    expect([...mine.keys()].sort()).toEqual([...theirs.keys()].sort());
  });

  test('is the same to the engine, but for ids, times, addresses and labels of the tools', () => {
    const wrong = [...theirs].flatMap(([name, value]) =>
      differing(value, mine.get(name) ?? null).map((line) => `${name}: ${line}`),
    );
    expect(wrong).toEqual([]);
  });

  test('and the comparison sees every other field', () => {
    const blind = [...theirs].flatMap(([name, value]) =>
      mutants(value)
        .filter(({ path, mutant }) => differing(value, mutant).length === 0 && !ALLOWED.some((a) => a.test(path)))
        .map(({ path }) => `${name}: ${path}`),
    );
    expect(blind).toEqual([]);
  });
});

test('a key that is taken away is named, whichever it is', async () => {
  // What a key is called where it is one of several that come to the same.
  const other: Record<string, string> = {
    env_file: 'environment',
    configs: 'volumes',
    secrets: 'volumes',
    deploy: 'mem_limit',
  };
  // These change no container: an order of starts, and a choice among images.
  const silent = ['image', 'depends_on', 'platform'];
  const provider = engine.deps.providers.get('service');
  const missed: string[] = [];
  for (const [project, files] of Object.entries(PROJECTS)) {
    const model = parse(files['compose.yaml'] ?? '') as { services: Record<string, Record<string, unknown>> };
    for (const [name, service] of Object.entries(model.services))
      for (const key of Object.keys(service).filter((k) => !silent.includes(k))) {
        const { [key]: _, ...rest } = service;
        const less = { ...model, services: { ...model.services, [name]: rest } };
        const loaded = await engine.load({ ...repo, [`${project}/compose.yaml`]: stringify(less) });
        const want = loaded.resources.find((r) => r.id === `service:${project}/${name}`);
        if (!want || !provider) throw new Error(`${project}/${name} ${key}: ${JSON.stringify(loaded.issues)}`);
        const seen = await provider.observe([want.id], new AbortController().signal, new Map([[want.id, want]]));
        const change = provider.diff(want, seen.get(want.id));
        const fields = change.op === 'none' ? [] : change.why.map((r) => r.field.split('.')[0]);
        if (!fields.includes(other[key] ?? key)) missed.push(`${project}/${name} ${key}: ${fields.join(' ')}`);
      }
  }
  expect(missed).toEqual([]);
});

describe('a host that runs under docker compose', () => {
  let adopting: EngineOn;
  const running = async () =>
    (
      await oracle.sh(
        "docker inspect -f '{{.Name}} {{.Id}} {{.State.StartedAt}} {{range .NetworkSettings.Networks}}{{.EndpointID}} {{end}}' $(docker ps -aq)",
      )
    ).stdout
      .trim()
      .split('\n')
      .map((line) => line.trim())
      .sort();
  beforeAll(async () => {
    adopting = await engineOn(oracle);
  });
  afterAll(() => adopting?.close());

  test('is taken over as it is: no container is touched, and docker compose still knows them', async () => {
    const before = await running();
    const { outcome } = await adopting.apply(repo);
    expect(outcome.actions.filter((a) => !a.id.startsWith('file:'))).toEqual([]);
    expect(outcome.problems).toEqual([]);
    expect(await running()).toEqual(before);
    expect((await adopting.again()).outcome.actions).toEqual([]);
    const { stdout } = await oracle.sh(`cd ${TREE}/pair; docker compose ps --format '{{.Service}}'`);
    expect(stdout.trim().split('\n').sort()).toEqual(['db', 'side', 'web']);
  });

  test('then one changed field makes one container anew, and the reason names it', async () => {
    const before = await running();
    const { 'process/compose.yaml': text = '' } = repo;
    const { outcome } = await adopting.apply({
      ...repo,
      'process/compose.yaml': text.replace('A: "1", ', '').replace('hostname: box', ''),
    });
    expect(outcome.actions.map((a) => [a.id, a.op, a.why])).toEqual([
      [
        'service:process/web',
        'replace',
        [
          { field: 'environment', to: 'A removed' },
          { field: 'hostname', from: 'box', to: 'none' },
        ],
      ],
    ]);
    const after = await running();
    expect(after.filter((line) => !before.includes(line)).map((line) => line.split(' ')[0])).toEqual([
      '/process-web-1',
    ]);
  });

  test('what differs is held, field by field, until it is asked for', async () => {
    const late = (hostname: string, top = '') =>
      `${top}services:\n  web:\n    image: infra:5000/app:1\n    hostname: ${hostname}\n    environment: {KEPT: "1", GONE: "${hostname}"}\n`;
    await oracle.write(`${TREE}/late/compose.yaml`, late('one').replace('GONE', 'OLD'));
    await oracle.sh(`cd ${TREE}/late; docker compose up -d 2>&1`);
    const before = await running();
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
    expect(late1(await running())).toEqual(late1(before));
    expect(adopting.store.inventory.list().map((row) => row.id)).not.toContain('service:late/web');

    const asked = await adopting.again({ adopt: true });
    expect(asked.outcome.actions.map((a) => `${a.op} ${a.id} ${a.result}`)).toEqual(['replace service:late/web done']);
    expect(asked.run.sync).toBe('synced');
    expect((await adopting.again()).outcome.actions).toEqual([]);
  });
});

describe('gentle changes', () => {
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

  test('a service whose namespaces others share takes them along; what depends on it with restart: true restarts', async () => {
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

describe('failures', () => {
  const failing = async (files: Record<string, string>) => {
    const { outcome } = await engine.apply({ ...repo, ...files });
    return Object.fromEntries(outcome.problems.map((p) => [p.id, `${p.reason}: ${p.message}`]));
  };
  const one = (lines: string) => ({ 'odd/compose.yaml': `services:\n  web:\n    image: infra:5000/app:1\n${lines}` });

  test('tell exit code and last lines, out of memory, and who has the port or the name', async () => {
    await ours.sh('docker run -d --name odd-web-1 -p 127.0.0.1:18099:8080 infra:5000/app:1');
    expect((await failing(one('')))['service:odd/web']).toMatch(
      /^NameConflict: container name odd-web-1 is taken by .*infra:5000.app:1/,
    );
    expect(
      (await failing(one('    container_name: odd-own\n    ports: ["127.0.0.1:18099:8080"]\n')))['service:odd/web'],
    ).toMatch(/^PortInUse: .*18099.*; container odd-web-1 \(infra:5000.app:1\) has it$/);
    const crash = await failing(
      one('    container_name: odd-own\n    command: ["/bin/busybox", "sh", "-c", "echo no such table; exit 3"]\n'),
    );
    expect(crash['service:odd/web']).toMatch(/^Unhealthy: exited \(3\); its last lines: no such table$/);
    const greedy = await failing(
      one(
        '    container_name: odd-own\n    mem_limit: 16m\n    memswap_limit: 16m\n    command: ["/bin/busybox", "dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"]\n',
      ),
    );
    expect(greedy['service:odd/web']).toMatch(
      /^Unhealthy: exited \(137\), out of memory at its limit of 16 MiB; raise mem_limit/,
    );
    await ours.exec(['docker', 'rm', '-f', 'odd-web-1']);
  });
});
