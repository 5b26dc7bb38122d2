/**
 * Drift is noticed by events, repaired at once, once each, and reported. The schedule is once a year, so only events can trigger
 * a repair.
 */
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import type { HistoryDocument, RunDocument } from '../../agent/control/protocol.ts';
import type { ActionDocument } from '../../manifests-schema/documents.ts';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import { installAgent, statusWhere } from './agent.ts';
import { type EventsHeard, hearEvents } from './events.ts';
import { type FleetRepo, type Lab, type LabHost, startLab, until } from './lab.ts';
import { HEALTH, loopUnit } from './story.ts';

let lab: Lab;
let host: LabHost;
let repo: FleetRepo;
let heard: EventsHeard;

const indent = (text: string) => text.trimEnd().replace(/^/gm, '      ');
const unit = (name: string, more = '') =>
  `  ${name}.service:\n    content: |\n${indent(loopUnit(name))}\n    enabled: true\n    state: started\n${more}`;
const MANIFEST = `files:
  /srv/drift/a.conf: {content: "a\\n", mode: "0640"}
  /srv/drift/deep/er/b.conf: {content: "b\\n"}
  /srv/drift/told: {content: "told\\n", notify: [unit:told.service]}
  /srv/drift/link: {link: a.conf}
  /srv/fought: {content: "ours\\n"}
units:
${unit('one')}${unit('told')}${unit('dropped', '    dropins: {10-nice.conf: {content: "[Service]\\nNice=5\\n"}}\n')}  hidden.service: {masked: true}
  crashing.service:
    content: |
      [Service]
      Type=notify
      NotifyAccess=all
      ExecStart=/bin/sh -c "test -e /run/crash-ok && systemd-notify --ready && exec sleep infinity"
    state: started
`;
const COMPOSE = `services:
  web:
    image: infra:5000/app:1
    networks: [front]
    volumes: ["data:/data"]
    mem_limit: 64m
    stop_grace_period: 1s
    ${HEALTH}
  plain:
    image: infra:5000/app:1
    stop_grace_period: 1s
  tagged:
    image: infra:5000/app:3
    ${HEALTH}
networks:
  front: {}
volumes:
  data: {}
`;
const FILES = { 'hosts/edge-1/system.yaml': MANIFEST, 'hosts/edge-1/shop/compose.yaml': COMPOSE };

/** More events than the kernel queues for a reader that does not read, in a directory that is watched. */
const FLOOD = `const fs = require('fs');
const most = Number(fs.readFileSync('/proc/sys/fs/inotify/max_queued_events', 'utf8'));
for (const n of ['x', 'y']) fs.writeFileSync('/srv/drift/' + n, '');
for (let i = 0; i < most; i++) for (const n of ['x', 'y']) fs.utimesSync('/srv/drift/' + n, i, i);
for (const n of ['x', 'y']) fs.rmSync('/srv/drift/' + n);`;

beforeAll(async () => {
  lab = await startLab({ name: 'drift', hosts: [{ name: 'edge-1' }] });
  host = lab.host('edge-1');
  repo = await lab.infra.createRepo('fleet');
  await host.sh('touch /run/crash-ok');
  const commit = await repo.commit(FILES, 'Everything that can drift');
  await installAgent(host, { repoUrl: repo.httpUrl });
  await statusWhere(lab.infra, 'edge-1', 'synced', (s) => s.applied?.commit === commit && s.health === 'healthy');
  heard = await hearEvents(lab.infra, 'edge-1');
});
afterAll(async () => lab?.stop());

const withJournal = () => onTestFailed(async () => console.error(await host.journal('fairlead.service')));
const out = async (...argv: string[]) => (await host.exec(argv, { check: false })).stdout.trim();

/** The daemon's own response: what the command line would print, without its process. */
async function ask<T>(path: string): Promise<T> {
  return JSON.parse(
    await out('curl', '-s', '--unix-socket', '/run/fairlead/agent.sock', `http://fairlead/v1/${path}`),
  ) as T;
}
const runsOf = async (query: string) => (await ask<HistoryDocument>(`history?${query}`)).runs;

interface Told {
  run: RunDocument['run'];
  action: ActionDocument;
}
/** Entries of the history about a resource since a run, oldest first. */
async function told(id: string, after: number): Promise<Told[]> {
  const runs = (await runsOf(`resource=${encodeURIComponent(id)}&limit=20`)).filter((r) => r.id > after);
  const found: Told[] = [];
  for (const { id: n } of runs.reverse()) {
    const { run, actions } = await ask<RunDocument>(`history/${n}`);
    found.push(...actions.filter((a) => a.id === id).map((action) => ({ run, action })));
  }
  return found;
}
const lastRun = async () => (await runsOf('limit=1'))[0]?.id ?? 0;
/** All events that were reported until now. */
const events = async () => heard.upTo((await ask<StatusDocument>('status')).seq);

interface Case {
  what: string;
  act: string;
  id: string;
  /** The field that history shows. */
  field: string;
  /** A command on the host, and its output when everything is well again. */
  look: string;
  well: string;
}

/** Breaks something, waits until the host's own tools see it repaired, then reads history. */
async function expectRepaired({ what, act, id, field, look, well }: Case, triggers = ['drift']): Promise<void> {
  withJournal();
  const is = async () => (await host.sh(look, { check: false })).stdout.trim();
  expect(await is(), `before: ${what}`).toBe(well);
  const before = await lastRun();
  await host.sh(act);
  await until(
    `${what} to be repaired`,
    60_000,
    async () => (await is()) === well && (await told(id, before)).length > 0,
  );
  const [first, ...more] = await told(id, before);
  expect(first?.action, what).toMatchObject({ result: 'done', drift: true });
  expect(
    first?.action.why.map((r) => r.field),
    what,
  ).toContain(field);
  expect(more, `${what}: one repair`).toEqual([]);
  expect(triggers, what).toContain(first?.run.trigger);
}

/** The agent is stopped meanwhile: it would begin to repair 50 ms after the first of them. */
const atOnce = (...commands: string[]) => {
  const signal = (name: string) => `systemctl kill --signal=${name} --kill-whom=main fairlead.service`;
  return [signal('STOP'), ...commands, signal('CONT')].join('; ');
};

const file = (what: string, act: string, field: string, path = '/srv/drift/a.conf', well = '640 a'): Case => ({
  what,
  act,
  id: `file:${path}`,
  field,
  look: `stat -c %a ${path} | tr '\\n' ' '; cat ${path}`,
  well,
});

describe('files', () => {
  test.each([
    file('edited', 'echo tampered >> /srv/drift/a.conf', 'content'),
    file('replaced', 'echo other > /srv/x; chmod 640 /srv/x; mv /srv/x /srv/drift/a.conf', 'content'),
    file('deleted', 'rm /srv/drift/a.conf', 'state'),
    file('chmodded', 'chmod 777 /srv/drift/a.conf', 'mode'),
    file('chowned', 'chown nobody /srv/drift/a.conf', 'owner'),
    file(
      'a deep one, its directory removed',
      atOnce('rm -r /srv/drift/deep'),
      'state',
      '/srv/drift/deep/er/b.conf',
      '644 b',
    ),
    file('all of it moved away', 'mv /srv/drift /srv/away', 'state'),
    file('edited after that', 'echo tampered >> /srv/drift/a.conf', 'content'),
  ])('$what', (drifted) => expectRepaired(drifted));

  test('a link, pointed elsewhere', () =>
    expectRepaired({
      what: 'a link',
      act: 'ln -sfn /nowhere /srv/drift/link',
      id: 'file:/srv/drift/link',
      field: 'link',
      look: 'readlink /srv/drift/link',
      well: 'a.conf',
    }));

  test('a resource that a repaired file notifies is restarted', async () => {
    withJournal();
    const pid = await out('systemctl', 'show', '-p', 'MainPID', '--value', 'told.service');
    await expectRepaired(
      file('a told file', 'echo tampered > /srv/drift/told', 'content', '/srv/drift/told', '644 told'),
    );
    await until(
      'the restart',
      60_000,
      async () => (await out('systemctl', 'show', '-p', 'MainPID', '--value', 'told.service')) !== pid,
    );
  });
});

const state = (what: string, act: string, field: string, name = 'one', well = 'active enabled'): Case => ({
  what,
  act,
  id: `unit:${name}.service`,
  field,
  look: `systemctl is-active ${name}.service | tr '\\n' ' '; systemctl is-enabled ${name}.service`,
  well,
});

describe('units', () => {
  test.each([
    state('stopped', 'systemctl stop one.service', 'state'),
    state('killed', 'systemctl kill -s KILL one.service', 'state'),
    state('disabled', 'systemctl disable one.service', 'enabled'),
    state('disabled behind systemd’s back', 'rm /etc/systemd/system/multi-user.target.wants/one.service', 'enabled'),
    state('edited', 'sed -i s/infinity/1000000/ /etc/systemd/system/one.service', 'content'),
    state('removed', 'rm /etc/systemd/system/one.service', 'content'),
    state(
      'edited with systemctl edit’s reload',
      atOnce('sed -i s/infinity/2000000/ /etc/systemd/system/one.service', 'systemctl daemon-reload'),
      'content',
    ),
  ])('$what', (drifted) => expectRepaired(drifted));
});

const DROPPED =
  "systemctl show -p Nice,ActiveState dropped.service | tr '\\n' ' '; ls /etc/systemd/system/dropped.service.d";
const dropin = (what: string, act: string): Case => ({
  what,
  act,
  id: 'unit:dropped.service',
  field: 'dropins.10-nice.conf',
  look: DROPPED,
  well: 'Nice=5 ActiveState=active 10-nice.conf',
});

describe('drop-ins and masks', () => {
  test.each([
    dropin('its drop-in removed', 'rm /etc/systemd/system/dropped.service.d/10-nice.conf'),
    dropin(
      'its drop-ins all removed, and loaded',
      atOnce('rm -r /etc/systemd/system/dropped.service.d', 'systemctl daemon-reload'),
    ),
    dropin('its drop-in edited', 'echo "Environment=X=1" >> /etc/systemd/system/dropped.service.d/10-nice.conf'),
  ])('$what', (drifted) => expectRepaired(drifted));

  test('a unit that is masked although it should run', () =>
    expectRepaired(
      state('masked', atOnce('rm /etc/systemd/system/one.service', 'systemctl mask --now one.service'), 'content'),
    ));

  test('a unit that is unmasked', () =>
    expectRepaired({
      what: 'unmasked',
      act: 'systemctl unmask hidden.service',
      id: 'unit:hidden.service',
      field: 'masked',
      look: 'systemctl is-enabled hidden.service || true',
      well: 'masked',
    }));
});

const container = (what: string, act: string, field: string, name = 'web', well = 'running shop_front'): Case => ({
  what,
  act,
  id: `service:shop/${name}`,
  field,
  look: `docker inspect -f '{{.State.Status}} {{range $k, $v := .NetworkSettings.Networks}}{{$k}}{{end}}' shop-${name}-1`,
  well,
});

describe('containers, networks, volumes', () => {
  test.each([
    container('killed', 'docker kill shop-web-1', 'state'),
    container('stopped', 'docker stop -t 0 shop-web-1', 'state'),
    // The Docker engine first kills it, and then removes it.
    container('removed', atOnce('docker rm -f shop-web-1'), 'container'),
    container('disconnected', 'docker network disconnect -f shop_front shop-web-1', 'networks'),
    container('renamed', 'docker rename shop-web-1 theirs', 'container_name'),
    container('its limits changed', 'docker update -m 128m --memory-swap 256m shop-web-1', 'mem_limit'),
    container('killed without a healthcheck', 'docker kill shop-plain-1', 'state', 'plain', 'running shop_default'),
  ])('$what', (drifted) => expectRepaired(drifted));

  test('recreated because its tag names another image: the replaced container is removed as soon as the new one is well', async () => {
    withJournal();
    const before = await lastRun();
    await host.exec(['docker', 'pull', '-q', 'infra:5000/app:2']);
    await host.sh(atOnce('docker tag infra:5000/app:2 infra:5000/app:3', 'docker kill shop-tagged-1'));
    const all = async () =>
      (await out('docker', 'ps', '-a', '--filter', 'name=shop-tagged', '--format', '{{.Names}} {{.State}}')).split(
        '\n',
      );
    const image = () => out('docker', 'exec', 'shop-tagged-1', '/bin/cat', '/version');
    await until(
      'only the new one',
      60_000,
      async () => (await all()).join() === 'shop-tagged-1 running' && (await image()) === '2',
    );
    // The replaced container causes no drift of its own. (A run that is requested comes after the current one.)
    await out('fairlead', 'sync');
    const actions = (await told('service:shop/tagged', before)).map(({ action }) => `${action.op} ${action.result}`);
    expect(actions).toEqual(['replace done']);
  });

  test('a network, removed, with a container in it', () =>
    expectRepaired({
      what: 'a network',
      act: atOnce('docker network disconnect -f shop_front shop-web-1', 'docker network rm shop_front'),
      id: 'network:shop/front',
      field: 'state',
      look: `docker network inspect -f '{{.Name}}{{range .Containers}} {{.Name}}{{end}}' shop_front || true`,
      well: 'shop_front shop-web-1',
    }));

  test('a volume, removed, with the container that used it', () =>
    expectRepaired({
      what: 'a volume',
      act: atOnce('docker rm -f shop-web-1', 'docker volume rm shop_data'),
      id: 'volume:shop/data',
      field: 'state',
      look: `docker volume inspect -f '{{.Name}}' shop_data || true; docker ps -q -f volume=shop_data | wc -l`,
      well: 'shop_data\n1',
    }));
});

describe('drift that needs more than single events', () => {
  test('each repair was one event, none was lost or duplicated, and all have the difference and the result', async () => {
    const all = await events();
    const seqs = all.map((e) => e.seq);
    expect(seqs).toEqual(seqs.map((_, i) => (seqs[0] ?? 0) + i));
    const repairs = all.flatMap((e) => (e.type === 'repair' ? [e] : []));
    expect(repairs.length).toBeGreaterThan(20);
    expect(new Set(repairs.map((e) => `${e.run} ${e.data.resource}`)).size).toBe(repairs.length);
    for (const e of repairs) expect(e.data.why, JSON.stringify(e)).not.toHaveLength(0);
  });

  test('another tool that fights for a file is reported once, and does not affect other repairs', async () => {
    withJournal();
    await host.sh(
      'nohup sh -c "while :; do echo theirs > /srv/fought; sleep 0.02; done" >/dev/null 2>&1 & echo $! > /run/fight.pid',
    );
    const contended = async () =>
      (await ask<StatusDocument>('status')).problems.filter((p) => p.reason === 'Contended').map((p) => p.id);
    await until('the contention to be reported', 120_000, async () => (await contended()).length > 0);
    expect(await contended()).toEqual(['file:/srv/fought']);
    // An unwell resource is retried by a full run, and that may be the one that finds it.
    await expectRepaired(file('another file', 'rm /srv/drift/a.conf', 'state'), ['drift', 'retry']);
    const before = (await told('file:/srv/fought', 0)).length;
    expect(before).toBeLessThan(60);
    await host.sh('kill "$(cat /run/fight.pid)"');
    await until('the declared content', 60_000, async () => (await out('cat', '/srv/fought')) === 'ours');
    expect((await events()).filter((e) => JSON.stringify(e).includes('"contended":true'))).toHaveLength(1);
  });

  test('a crash loop is reported once, with its log, and is retried less and less often', async () => {
    withJournal();
    const before = await lastRun();
    await host.sh('rm -f /run/crash-ok; systemctl stop crashing.service');
    const problems = async () =>
      (await ask<StatusDocument>('status')).problems.filter((p) => p.id === 'unit:crashing.service');
    await until('the crash loop to be reported', 120_000, async () =>
      (await problems()).some((p) => p.reason === 'Contended'),
    );
    expect((await told('unit:crashing.service', before)).length).toBeLessThan(20);
    // An unwell resource is retried by a full run, and that may be the one that finds it.
    await expectRepaired(file('another file', 'rm /srv/drift/a.conf', 'state'), ['drift', 'retry']);
    await host.sh('touch /run/crash-ok');
    await until(
      'it to be well once its cause is gone',
      // The pauses grow with the time that it took to get here, up to five minutes.
      330_000,
      async () =>
        (await out('systemctl', 'is-active', 'crashing.service')) === 'active' &&
        (await problems()).every((p) => p.reason === 'Contended'),
    );
  });

  test('after a restart of the Docker engine its events are received again, and changes in between are found', async () => {
    withJournal();
    const before = await lastRun();
    await host.sh('systemctl stop docker.socket docker.service; systemctl start docker.service');
    // Until a run has observed it, the status is that of before.
    for (const name of ['web', 'plain', 'tagged'])
      await until(
        `shop-${name}-1 to be started`,
        120_000,
        async () => (await told(`service:shop/${name}`, before)).length > 0,
      );
    expect((await out('docker', 'ps', '-q')).split('\n')).toHaveLength(3);
    await until('all to be well', 120_000, async () => {
      const { sync, health } = await ask<StatusDocument>('status');
      return sync === 'synced' && health === 'healthy';
    });
    await expectRepaired(container('killed after the restart', 'docker kill shop-web-1', 'state'));
  });

  test('each time D-Bus is restarted the loss is logged, and signals are received again', async () => {
    withJournal();
    const said = async (what: string) => (await host.journal('fairlead.service')).split(what).length - 1;
    for (const time of [1, 2]) {
      const lost = await said('the connection to D-Bus is lost');
      const back = await said('systemd is heard again over D-Bus');
      await host.sh('systemctl restart dbus.service');
      await until('the bus', 60_000, async () => (await host.exec(['busctl', 'list'], { check: false })).code === 0);
      await until(
        'the new connection to the bus',
        120_000,
        async () => (await said('systemd is heard again over D-Bus')) > back,
      );
      expect(await said('the connection to D-Bus is lost'), `restart ${time}`).toBe(lost + 1);
      await expectRepaired(state(`stopped after restart ${time}`, 'systemctl stop one.service', 'state'));
    }
  });

  test('a change without an event, because the kernel’s queue was full, is searched for as soon as the overflow is noticed', async () => {
    withJournal();
    const pid = await out('systemctl', 'show', '-p', 'MainPID', '--value', 'fairlead.service');
    const before = await lastRun();
    await host.sh(`kill -STOP ${pid}`);
    await host.exec(['/usr/lib/fairlead/node', '-e', FLOOD]);
    await host.sh(`echo tampered > /srv/drift/a.conf; kill -CONT ${pid}`);
    const [found] = await until('the repair', 120_000, async () => {
      const repairs = await told('file:/srv/drift/a.conf', before);
      return repairs.length > 0 && repairs;
    });
    expect(await out('cat', '/srv/drift/a.conf')).toBe('a');
    expect([found?.run.trigger, found?.action.drift]).toEqual(['drift', true]);
  });

  test('while the repository is unreachable, repairs follow the accepted commit', async () => {
    withJournal();
    await lab.infra.exec(['systemctl', 'stop', 'nginx']);
    await expectRepaired(file('edited while git is away', 'echo tampered >> /srv/drift/a.conf', 'content'));
    await lab.infra.exec(['systemctl', 'start', 'nginx']);
  });
});
