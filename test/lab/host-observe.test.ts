/** `mode: observe` on one file, tree or unit of a real host: differences are reported, never changed. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { done, type EngineOn, engineOn, whyOf } from './engine-on.ts';
import { type Lab, type LabHost, startLab } from './lab.ts';

let lab: Lab;
let host: LabHost;
let engine: EngineOn;

beforeAll(async () => {
  lab = await startLab({ name: 'hostkinds-observe', infra: 'shared', hosts: [{ name: 'edge-1' }] });
  host = lab.host('edge-1');
  engine = await engineOn(host);
});
afterAll(async () => {
  engine?.close();
  await lab?.stop();
});

const LOOK = 'x-fairlead: {mode: observe}';
const UNIT = '[Service]\\nExecStart=/bin/sleep infinity\\n';
const yaml = (mode = LOOK) => `files:
  /srv/anchor: {content: x}
  /srv/theirs: {content: "ours\\n", notify: [unit:told.service], ${mode}}
  /srv/matches: {content: "same\\n", ${mode}}
  /srv/tree/: {source: tree, purge: true, ${mode}}
  /srv/after: {content: y, after: ["file:/srv/theirs"]}
units:
  cron.service: {state: stopped, ${mode}}
  told.service: {content: "${UNIT}", state: started}
`;
const payload = { 'tree/a': 'a\n' };
const apply = (text: string) => engine.apply({ 'a.yaml': text, ...payload });
/** Everything that must stay as it is: bytes, inodes, times, and the processes of two units. */
const asItIs = async () =>
  (
    await host.sh(
      'stat -c "%n %i %a %U %y" /srv/theirs /srv/matches /srv/tree /srv/tree/*; cat /srv/theirs; systemctl show -p ActiveState,MainPID cron.service told.service',
    )
  ).stdout;

test('differences are held and named, and nothing is changed or adopted', async () => {
  await host.sh(
    `mkdir /srv/tree; echo theirs > /srv/theirs; echo same > /srv/matches; echo foreign > /srv/tree/foreign; printf '[Service]\\nExecStart=/bin/sleep infinity\\n' > /etc/systemd/system/cron.service; systemctl daemon-reload; systemctl start cron.service`,
  );
  expect(
    (await apply(`files: {/srv/anchor: {content: x}}\nunits: {told.service: {content: "${UNIT}", state: started}}\n`))
      .run.sync,
  ).toBe('synced');
  const before = await asItIs();
  const first = await apply(yaml());
  expect(await asItIs()).toBe(before);
  expect((await host.exec(['cat', '/srv/after'])).stdout).toBe('y');
  expect(done(first).sort()).toEqual([
    'create file:/srv/after done',
    'create file:/srv/tree/a held',
    'update file:/srv/theirs held',
    'update file:/srv/tree held',
    'update unit:cron.service held',
  ]);
  expect(whyOf(first, 'file:/srv/theirs').map((r) => r.field)).toEqual(['content']);
  expect([first.run.sync, first.outcome.reason, first.outcome.gate]).toEqual(['held', 'Observing', null]);
  const states = Object.fromEntries(first.outcome.resources.map((r) => [r.id, `${r.sync} ${r.reason}`.trim()]));
  expect(states).toMatchObject({
    'file:/srv/theirs': 'held Observing',
    'file:/srv/matches': 'synced',
    'unit:cron.service': 'held Observing',
    'file:/srv/after': 'synced',
  });
  // Neither another run nor an adoption changes that; a resource that matches is not owned either.
  await engine.again({ adopt: true });
  expect(await asItIs()).toBe(before);
  const owned = engine.store.inventory.list().map((r) => r.id);
  expect(owned).not.toContain('file:/srv/matches');
  expect(owned).not.toContain('file:/srv/theirs');
  expect(engine.store.inventory.pendingNotifies()).toEqual([]);
});

test('a resource stays when its entry is removed, and is managed once its mode allows it', async () => {
  const before = await asItIs();
  await apply(`files: {/srv/anchor: {content: x}}\nunits: {told.service: {content: "${UNIT}", state: started}}\n`);
  expect(await asItIs()).toBe(before);
  const managed = await apply(yaml('x-fairlead: {mode: enforce}'));
  expect(managed.run.sync).toBe('synced');
  expect((await host.sh('cat /srv/theirs; ls /srv/tree; systemctl is-active cron.service || true')).stdout.trim()).toBe(
    'ours\na\ninactive',
  );
});
