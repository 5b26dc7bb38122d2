/** The main job on a real host: a commit changes it, and the fleet is informed. Run for every way of installing the agent. */
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import type { HistoryDocument, PlanDocument, RunDocument, SyncLine } from '../../agent/control/protocol.ts';
import type { ActionDocument } from '../../manifests-schema/documents.ts';
import { differing, fairlead, fairleadJson, type InstallOptions, identities, retained, statusWhere } from './agent.ts';
import { type FleetRepo, type Lab, type LabHost, startLab, until } from './lab.ts';
import { composeYaml, hostFiles, systemYaml, watched } from './story.ts';

export interface MainJobOptions {
  /** Name of the lab. */
  name: string;
  install(host: LabHost, options: InstallOptions): Promise<void>;
  /** The host's systemd unit of the agent, whose journal is shown if a test fails. */
  unit: string;
}

/** Declares the tests. @returns what further tests of the file work with, once they run */
export function mainJob({ name, install, unit }: MainJobOptions) {
  let lab: Lab;
  let host: LabHost;
  let repo: FleetRepo;
  const H = 'hosts/edge-1';

  beforeAll(async () => {
    lab = await startLab({ name, hosts: [{ name: 'edge-1' }] });
    host = lab.host('edge-1');
    repo = await lab.infra.createRepo('fleet');
  });
  afterAll(async () => lab?.stop());

  const withJournal = () => onTestFailed(async () => console.error(await host.journal(unit)));
  type Done = Extract<SyncLine, { type: 'done' }>;
  const sync = (...flags: string[]) => fairleadJson<Done>(host, 'sync', ...flags);
  const runOf = (id: number) => fairleadJson<RunDocument>(host, 'history', String(id));

  test('1. an empty host follows its first commit, and the broker has its status', async () => {
    withJournal();
    const commit = await repo.commit(hostFiles('edge-1'), 'Set up edge-1', 'Ann <ann@example.com>');
    await install(host, { repoUrl: repo.httpUrl });
    const status = await statusWhere(
      lab.infra,
      'edge-1',
      'synced',
      (s) => s.sync === 'synced' && s.health === 'healthy' && s.desired?.commit === commit,
    );

    expect(status).toMatchObject({
      health: 'healthy',
      problemsTotal: 0,
      desired: { author: 'Ann <ann@example.com>', subject: 'Set up edge-1' },
    });
    expect(status.applied?.commit).toBe(commit);
    expect(status.resources.total).toBe(status.resources.synced);
    expect(status.resources.total).toBeGreaterThanOrEqual(10);
    expect(await retained(lab.infra, 'fairlead/default/hosts/edge-1/presence')).toBe('online');

    expect((await host.exec(['cat', '/etc/app/app.conf'])).stdout).toBe('hello\n');
    expect((await host.exec(['stat', '-c', '%a %U %G', '/etc/app/app.conf'])).stdout).toBe('640 root root\n');
    expect((await host.exec(['cat', '/etc/app/motd'])).stdout).toBe('welcome\n');
    expect((await host.exec(['systemctl', 'is-active', 'loop.service', 'tick.timer'])).stdout).toBe('active\nactive\n');
    expect((await host.exec(['systemctl', 'is-enabled', 'loop.service', 'tick.timer'])).stdout).toBe(
      'enabled\nenabled\n',
    );
    const ps = (
      await host.exec([
        'docker',
        'ps',
        '--filter',
        'label=com.docker.compose.project',
        '--format',
        '{{.Names}} {{.Image}}',
      ])
    ).stdout
      .trim()
      .split('\n')
      .sort();
    expect(ps).toEqual(['shop-db-1 infra:5000/app:1', 'shop-web-1 infra:5000/app:1']);
    expect((await host.exec(['docker', 'exec', 'shop-web-1', '/bin/busybox', 'cat', '/etc/web.conf'])).stdout).toBe(
      'port=8080\n',
    );
    expect((await host.exec(['docker', 'network', 'ls', '--format', '{{.Name}}'])).stdout).toContain('shop_front');
    expect((await host.exec(['docker', 'volume', 'ls', '--format', '{{.Name}}'])).stdout).toContain('shop_data');
    expect((await host.exec(['docker', 'compose', 'ls', '-q'])).stdout).toContain('shop');
    const text = await fairlead(host, 'status');
    expect([text.code, text.stdout]).toEqual([0, expect.stringContaining('synced')]);
  });

  test('2. a second commit changes one file, one unit and one image, and nothing else; a run after it changes nothing', async () => {
    withJournal();
    const before = await identities(host, watched);
    await repo.commit(
      {
        [`${H}/files/motd`]: 'changed\n',
        [`${H}/system.yaml`]: systemYaml({ loop: 'two' }),
        [`${H}/shop/compose.yaml`]: composeYaml({ webImage: 'infra:5000/app:2' }),
      },
      'Change three things',
    );
    const plan = await fairleadJson<PlanDocument>(host, 'plan');
    expect(plan.actions.map((a) => a.id).sort()).toEqual([
      'file:/etc/app/motd',
      'service:shop/web',
      'unit:loop.service',
    ]);
    expect(plan.actions.find((a) => a.id === 'service:shop/web')?.why).toContainEqual({
      field: 'image',
      from: 'infra:5000/app:1',
      to: 'infra:5000/app:2',
    });
    expect(differing(before, await identities(host, watched))).toEqual([]);

    const done = await sync();
    expect([done.status.sync, done.run.changed]).toEqual(['synced', 3]);
    const after = await identities(host, watched);
    expect(differing(before, after)).toEqual([
      '/etc/app/motd',
      '/etc/systemd/system/loop.service',
      'loop.service',
      'shop-web-1',
    ]);
    expect((await host.exec(['systemctl', 'show', '-p', 'Environment', 'loop.service'])).stdout).toContain('WORD=two');

    const again = await fairlead(host, 'sync');
    expect([again.code, again.stdout]).toEqual([0, expect.stringMatching(/nothing/i)]);
    expect(differing(after, await identities(host, watched))).toEqual([]);
    expect((await fairlead(host, 'plan')).code).toBe(0);
  });

  test('3. undeclared resources are pruned; volumes and foreign resources stay; a lost directory removes nothing', async () => {
    withJournal();
    await host.exec(['docker', 'run', '-d', '--name', 'foreign', 'infra:5000/app:1']);
    await host.write('/etc/app/foreign', 'mine\n');
    await host.write('/etc/systemd/system/foreign.service', '[Service]\nExecStart=/bin/sleep infinity\n');
    await host.exec(['systemctl', 'start', 'foreign.service']);

    // Three of twelve are removed: motd, loop.service and the whole volume with its mount.
    const compose = composeYaml({ webImage: 'infra:5000/app:2' })
      .replace('      - data:/data\n', '')
      .replace('volumes:\n  data: {}\n', '');
    const system = systemYaml({ loop: 'two' })
      .replace('  /etc/app/motd: {source: files/motd}\n', '')
      .replace(/ {2}loop\.service:[\s\S]*?(?= {2}steady)/, '');
    await repo.commit({ [`${H}/system.yaml`]: system, [`${H}/shop/compose.yaml`]: compose }, 'Remove some');
    expect((await sync()).status.sync).toBe('synced');
    expect((await host.exec(['find', '/etc/app', '-type', 'f'])).stdout.trim().split('\n').sort()).toEqual([
      '/etc/app/app.conf',
      '/etc/app/foreign',
    ]);
    expect((await host.sh('find /etc/systemd/system -name "loop.service*"')).stdout).toBe('');
    expect((await host.exec(['systemctl', 'is-active', 'loop.service'], { check: false })).stdout).toBe('inactive\n');
    expect((await host.exec(['docker', 'volume', 'ls', '-q'])).stdout).toContain('shop_data');
    expect((await host.exec(['systemctl', 'is-active', 'foreign.service'])).stdout).toBe('active\n');

    const kept = {
      files: ['/etc/app/app.conf', '/etc/app/foreign'],
      units: ['steady.service', 'foreign.service'],
      containers: ['shop-web-1', 'shop-db-1', 'foreign'],
    };
    const before = await identities(host, kept);
    await repo.commit(
      {
        [`${H}/system.yaml`]: 'files: {/etc/app/app.conf: {content: "hello\\n", mode: "0640"}}\n',
        [`${H}/shop/`]: null,
      },
      'Remove too much',
    );
    const held = await fairlead(host, 'sync');
    expect([held.code, held.stdout + held.stderr]).toEqual([2, expect.stringContaining('--allow-prune')]);
    expect(await statusWhere(lab.infra, 'edge-1', 'held', (s) => s.sync === 'held')).toMatchObject({
      reason: 'PruneLimit',
    });

    await repo.commit({ [`${H}/`]: null, 'hosts/other/x.yaml': 'files: {}\n' }, 'Lose the directory');
    expect((await sync()).status).toMatchObject({ sync: 'unassigned' });
    expect(differing(before, await identities(host, kept))).toEqual([]);

    await repo.commit({ ...hostFiles('edge-1'), [`${H}/shop/compose.yaml`]: composeYaml() }, 'Bring it back');
    expect((await sync()).status).toMatchObject({ sync: 'synced', health: 'healthy' });
  });

  test('4. drift is repaired at once, and history has the difference', async () => {
    withJournal();
    const ids = ['file:/etc/app/app.conf', 'file:/etc/app/motd', 'service:shop/db', 'unit:steady.service'];
    const { runs } = await fairleadJson<HistoryDocument>(host, 'history', '--limit', '1');
    const last = runs[0]?.id ?? 0;
    const repairs = async () => {
      const found: ActionDocument[] = [];
      const { runs } = await fairleadJson<HistoryDocument>(host, 'history', '--limit', '50');
      for (const { id } of runs.filter((r) => r.id > last)) found.push(...(await runOf(id)).actions);
      return found.filter((a) => a.drift && a.result === 'done');
    };
    await host.write('/etc/app/app.conf', 'tampered\n');
    await host.exec(['chmod', '0600', '/etc/app/motd']);
    await host.exec(['docker', 'rm', '-f', 'shop-db-1']);
    await host.exec(['systemctl', 'stop', 'steady.service']);
    await until('all four to be repaired', 120_000, async () => new Set((await repairs()).map((a) => a.id)).size === 4);
    expect((await sync()).run).toMatchObject({ sync: 'synced', repaired: 0, changed: 0 });
    expect((await host.exec(['cat', '/etc/app/app.conf'])).stdout).toBe('hello\n');
    expect((await host.exec(['docker', 'inspect', '-f', '{{.State.Running}}', 'shop-db-1'])).stdout).toBe('true\n');
    expect((await host.exec(['systemctl', 'is-active', 'steady.service'])).stdout).toBe('active\n');
    const drifted = Object.fromEntries((await repairs()).map((a) => [a.id, a.why]));
    expect(Object.keys(drifted).sort()).toEqual(ids);
    expect(drifted['file:/etc/app/motd']).toContainEqual({ field: 'mode', from: '0600', to: '0644' });
    expect(drifted['file:/etc/app/app.conf']).toContainEqual({
      field: 'content',
      from: expect.stringContaining('sha256'),
      to: expect.stringContaining('sha256'),
    });
    expect((await fairlead(host, 'history', '--resource', 'file:/etc/app/motd')).stdout).toMatch(/drift/i);
  });

  test.each([
    ['an unknown key', { [`${H}/bad.yaml`]: 'files:\n  /etc/x:\n    contnet: a\n' }, `${H}/bad.yaml:3`, 'content'],
    ['bad YAML', { [`${H}/bad.yaml`]: 'files:\n  /etc/x: {content: "a\n' }, `${H}/bad.yaml:`, ''],
    [
      'a missing source',
      { [`${H}/bad.yaml`]: 'files:\n  /etc/x:\n    source: files/none\n' },
      `${H}/bad.yaml:3`,
      'files/none',
    ],
    [
      'a bad unit',
      {
        [`${H}/bad.yaml`]:
          'units:\n  bad.service:\n    content: |\n      [Service]\n      ExecStart=/bin/true\n      Restrat=always\n',
      },
      `${H}/bad.yaml:2`,
      'Restrat',
    ],
  ])(
    '5. a commit with %s leaves the host as it was; status and CLI name file and line',
    async (_what, files, place, word) => {
      withJournal();
      const before = await identities(host, watched);
      const [file, line] = place.split(':');
      await repo.commit({ ...files, [`${H}/files/motd`]: `not applied ${_what}\n` }, `Break it: ${_what}`);
      const out = await fairlead(host, 'sync');
      expect([out.code, out.stdout + out.stderr]).toEqual([1, expect.stringContaining(place)]);
      expect(out.stdout + out.stderr).toContain(word);
      const status = await statusWhere(
        lab.infra,
        'edge-1',
        'failed',
        (s) => s.sync === 'failed' && s.desired?.subject === `Break it: ${_what}`,
      );
      expect(status.problems[0]).toMatchObject({ file, ...(line ? { line: Number(line) } : {}) });
      expect((await fairlead(host, 'status')).code).toBe(1);
      expect((await fairlead(host, 'plan')).code).not.toBe(0);
      expect(differing(before, await identities(host, watched))).toEqual([]);

      // The running state is still repaired, from the last accepted commit.
      await host.exec(['systemctl', 'stop', 'steady.service']);
      await sync();
      expect((await host.exec(['systemctl', 'is-active', 'steady.service'])).stdout).toBe('active\n');
      await repo.commit({ [`${H}/bad.yaml`]: null, [`${H}/files/motd`]: 'welcome\n' }, 'Mend it');
      expect((await sync()).status.sync).toBe('synced');
    },
  );

  test('5. an image that does not exist stops nothing that runs, and is retried', async () => {
    withJournal();
    const before = await identities(host, watched);
    const commit = await repo.commit(
      { [`${H}/shop/compose.yaml`]: composeYaml({ webImage: 'infra:5000/app:later' }) },
      'An image to come',
    );
    const done = await sync();
    expect(done.status).toMatchObject({ sync: 'failed', health: expect.any(String) });
    expect(done.status.problems[0]).toMatchObject({ id: 'service:shop/web', file: `${H}/shop/compose.yaml` });
    expect(differing(before, await identities(host, watched))).toEqual([]);

    await lab.infra.sh(
      'skopeo --version >/dev/null 2>&1 || true; curl -fsS -H "Accept: application/vnd.docker.distribution.manifest.v2+json" http://127.0.0.1:5000/v2/app/manifests/3 -o /tmp/m && curl -fsS -X PUT -H "Content-Type: application/vnd.docker.distribution.manifest.v2+json" --data-binary @/tmp/m http://127.0.0.1:5000/v2/app/manifests/later',
    );
    // The retry comes without a request.
    await statusWhere(
      lab.infra,
      'edge-1',
      'synced by a retry',
      (s) => s.sync === 'synced' && s.applied?.commit === commit,
    );
    expect((await host.exec(['docker', 'inspect', '-f', '{{.Config.Image}}', 'shop-web-1'])).stdout).toBe(
      'infra:5000/app:later\n',
    );
  });

  return { lab: () => lab, host: () => host, repo: () => repo, withJournal };
}
