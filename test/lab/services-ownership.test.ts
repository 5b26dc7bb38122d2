/** Which container belongs to a service, and where its data is, on a real Docker engine beside a real `docker compose`. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { done, type EngineOn, engineOn } from './engine-on.ts';
import { type Lab, type LabHost, startLab, until } from './lab.ts';

let lab: Lab;
let host: LabHost;
let engine: EngineOn;
const anchor = { 'a.yaml': 'files: {/srv/anchor: {content: x}}\n' };

beforeAll(async () => {
  lab = await startLab({ name: 'mine', infra: 'shared', hosts: [{ name: 'ours' }] });
  host = lab.host('ours');
});
beforeEach(async () => {
  engine = await engineOn(host);
});
afterEach(async () => {
  engine.close();
  await host.sh(
    'docker ps -aq | xargs -r docker rm -fv; docker network prune -f; docker volume ls -q | xargs -r docker volume rm; rm -rf /opt/shop /var/lib/fairlead/tree',
  );
});
afterAll(async () => lab?.stop());

/** Well after a second. */
const SOON = 'deploy: {update_config: {monitor: 1s}}';
const DB = `services:
  db: {image: "infra:5000/app:1", ${SOON}, stop_grace_period: 4s, volumes: ["/scratch", "./data:/data"]}
`;
const up = (flags = '') => host.sh(`cd /opt/shop && docker compose -p shop up -d --quiet-pull ${flags} 2>&1`);
const start = (name: string) =>
  host.sh(`docker inspect -f '{{.Id}} {{.State.StartedAt}}' ${name}`).then((r) => r.stdout.trim());
const inside = (name: string, script: string) =>
  host.sh(`docker exec ${name} /bin/busybox sh -c '${script}'`).then((r) => r.stdout.trim());
const names = () =>
  host
    .sh("docker ps -a --format '{{.Names}} {{.State}}' | sort")
    .then((r) => r.stdout.trim().split('\n').filter(Boolean));
const held = ({ outcome }: Awaited<ReturnType<EngineOn['again']>>) =>
  outcome.resources.filter((r) => r.sync === 'held').map((r) => `${r.id} ${r.reason}`);
const ofServices = (lines: readonly string[]) => lines.filter((line) => line.includes('service:'));

test('a running stack is adopted with its directory, and its data is there after a change', async () => {
  await host.sh('mkdir -p /opt/shop');
  await host.write('/opt/shop/compose.yaml', DB);
  await up();
  await inside('shop-db-1', 'echo one > /data/rows; echo two > /scratch/rows');
  const before = await start('shop-db-1');
  const adopted = await engine.apply({ ...anchor, 'shop/compose.yaml': DB });
  expect(adopted.run.sync).toBe('synced');
  expect(await start('shop-db-1')).toBe(before);
  const changed = {
    ...anchor,
    'shop/compose.yaml': DB.replace('stop_grace_period: 4s', 'stop_grace_period: 1s, environment: {W: new}'),
  };
  expect((await engine.apply(changed)).outcome.problems).toEqual([]);
  expect(await start('shop-db-1')).not.toBe(before);
  expect(await inside('shop-db-1', 'cat /data/rows /scratch/rows; echo $W')).toBe('one\ntwo\nnew');
});

test('a leftover of an interrupted recreate does not affect the running container, and is reported', async () => {
  await engine.apply({ ...anchor, 'shop/compose.yaml': DB });
  await inside('shop-db-1', 'echo two > /scratch/rows');
  const before = await start('shop-db-1');
  await host.sh(
    'docker create --name deadbeef_shop-db-1 -l com.docker.compose.project=shop -l com.docker.compose.service=db -l com.docker.compose.container-number=1 -l com.docker.compose.oneoff=False infra:5000/app:1',
  );
  expect(ofServices(done(await engine.again()))).toEqual([]);
  await until('the leftover to be reported', 200_000, async () =>
    (await engine.again()).outcome.problems.some(
      (p) => p.reason === 'StrayContainer' && p.message.includes('deadbeef_shop-db-1'),
    ),
  );
  expect(await start('shop-db-1')).toBe(before);
  expect(await inside('shop-db-1', 'cat /scratch/rows')).toBe('two');
  expect(await names()).toEqual(['deadbeef_shop-db-1 created', 'shop-db-1 running']);
});

test('a recreate by somebody else is not disturbed by repeated runs of the agent', async () => {
  await host.sh('mkdir -p /opt/shop');
  await host.write('/opt/shop/compose.yaml', DB);
  await up();
  await engine.apply({ ...anchor, 'shop/compose.yaml': DB });
  await inside('shop-db-1', 'echo one > /data/rows; echo two > /scratch/rows');
  const before = await start('shop-db-1');
  let isOver = false;
  const recreate = up('--force-recreate').finally(() => {
    isOver = true;
  });
  const all: string[] = [];
  while (!isOver) all.push(...ofServices(done(await engine.again())));
  await recreate;
  all.push(...ofServices(done(await engine.again())));
  expect(all).toEqual([]);
  expect(await names()).toEqual(['shop-db-1 running']);
  expect(await start('shop-db-1')).not.toBe(before);
  expect(await inside('shop-db-1', 'cat /data/rows /scratch/rows')).toBe('one\ntwo');
});

test('a moved stack is held while its volume stays behind, and is applied once the volume is named', async () => {
  const text = (more = '') => `services:
  db: {image: "infra:5000/app:1", ${SOON}, volumes: ["data:/data"]}
volumes: {data: {${more}}}
`;
  await engine.apply({ ...anchor, 'shop/compose.yaml': text() });
  await inside('shop-db-1', 'echo one > /data/rows');
  const before = await start('shop-db-1');
  const moved = await engine.apply({ ...anchor, 'webshop/compose.yaml': text() });
  expect(held(moved)).toEqual(['service:webshop/db DataLeftBehind']);
  expect(moved.outcome.message).toMatch(
    /webshop_data, which is empty.*volume shop_data.*\{data: \{name: shop_data\}\}/,
  );
  expect(await start('shop-db-1')).toBe(before);
  const named = await engine.apply({ ...anchor, 'webshop/compose.yaml': text('name: shop_data') });
  expect(held(named)).toEqual([]);
  expect(await names()).toEqual(['webshop-db-1 running']);
  expect(await inside('webshop-db-1', 'cat /data/rows')).toBe('one');
});

test('a completed service does not run again after a prune', async () => {
  const files = {
    ...anchor,
    'shop/compose.yaml': `services:
  once: {image: "infra:5000/app:1", command: [/bin/busybox, sh, -c, "echo ran >> /data/log"], entrypoint: [], volumes: ["./data:/data"]}
`,
  };
  expect((await engine.apply(files)).outcome.problems).toEqual([]);
  await host.sh('docker container prune -f');
  engine.restart();
  expect(ofServices(done(await engine.again()))).toEqual([]);
  expect(await names()).toEqual([]);
  expect((await host.sh('cat /var/lib/fairlead/tree/hosts/h/shop/data/log')).stdout.trim()).toBe('ran');
});
