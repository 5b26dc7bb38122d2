/** The hints of the watchers after changes on a host in memory. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Watcher } from '../../../agent/core/provider.ts';
import { createInspections } from '../../../agent/kinds/docker/inspections.ts';
import { createEngineWatcher } from '../../../agent/kinds/service/watch.ts';
import { createUnitWatcher } from '../../../agent/kinds/unit/watch.ts';
import { silentLog } from '../../../agent/log.ts';
import { createInotifyQueue } from '../../../agent/system/watch/inotify-queue.ts';
import type { Repo } from '../repo.ts';
import { NOTHING, stack, stackHost } from './stack-host.ts';

const on = stackHost();
let ended: AbortController;
let hinted: string[];
beforeEach(() => {
  ended = new AbortController();
  hinted = [];
});
afterEach(() => ended.abort());

/** Starts the watcher and declares the resources. */
async function begin(watcher: Watcher, repo: Repo): Promise<void> {
  await watcher.start((id) => hinted.push(id), ended.signal);
  watcher.manage((await on.engine.load(repo)).resources);
  hinted.length = 0;
}
const heard = async (act: () => unknown): Promise<string[]> => {
  hinted.length = 0;
  await act();
  return [...new Set(hinted)].sort();
};

describe('the engine', () => {
  const declared = stack('volumes: ["data:/data"]', 'volumes: {data: {}}');
  const watcher = () =>
    createEngineWatcher({
      events: on.host.engine.events,
      inspections: createInspections(on.host.clock.monotonic),
      log: silentLog,
    });

  test('an event of a container hints its service, and one of a foreign container nothing', async () => {
    await on.engine.apply(declared);
    await begin(watcher(), declared);
    const { docker } = on.host.engine;
    expect(await heard(() => on.host.engine.end('shop-web-1'))).toEqual(['service:shop/web']);
    expect(await heard(() => docker.start('shop-web-1'))).toEqual(['service:shop/web']);
    expect(await heard(() => docker.rename('shop-web-1', 'other'))).toEqual(['service:shop/web']);
    expect(await heard(() => docker.update('other', { CpuShares: 2 }))).toEqual(['service:shop/web']);
    expect(await heard(() => docker.disconnect('shop_default', 'other'))).toEqual(['service:shop/web']);
    expect(await heard(() => docker.remove('other', { volumes: true }))).toEqual(['service:shop/web']);
    expect(await heard(() => on.strangers('guest'))).toEqual([]);
    expect(await heard(() => docker.remove('guest', { volumes: true }))).toEqual([]);
  });

  test('networks and volumes are hinted by their names', async () => {
    await on.engine.apply(declared);
    await begin(watcher(), declared);
    const { docker } = on.host.engine;
    await docker.remove('shop-web-1', { volumes: true });
    expect(await heard(() => docker.removeNetwork('shop_default'))).toEqual([
      'network:shop/default',
      'service:shop/web',
    ]);
    expect(await heard(() => docker.removeVolume('shop_data'))).toEqual(['volume:shop/data']);
    expect(await heard(() => docker.createVolume({ Name: 'theirs' }))).toEqual([]);
  });

  test('after a gap everything is hinted, and so is what is newly declared', async () => {
    const one = watcher();
    await begin(one, NOTHING);
    const { resources } = await on.engine.load(declared);
    expect(await heard(() => one.manage(resources))).toEqual([
      'network:shop/default',
      'service:shop/web',
      'volume:shop/data',
    ]);
    expect(await heard(() => on.host.engine.goAway())).toEqual([]);
    expect(await heard(() => on.host.engine.comeBack())).toEqual(['*']);
  });
});

test('units: a changed state hints the unit, a reload hints all', async () => {
  const { systemd, root } = on.host;
  const content = '[Service]\nExecStart=/bin/sleep infinity\n';
  const declared = { 'a.yaml': JSON.stringify({ units: { 'a.service': { content, state: 'started' } } }) };
  await on.engine.apply(declared);
  const queue = createInotifyQueue();
  await begin(createUnitWatcher({ signals: systemd.signals, root, limit: 100, queue }), declared);
  expect(await heard(() => systemd.kill('a.service'))).toEqual(['unit:a.service']);
  expect(await heard(() => systemd.systemd.resetFailed('a.service'))).toEqual(['unit:a.service']);
  expect(await heard(() => systemd.systemd.reload())).toEqual(['*']);
  systemd.goAway();
  expect(await heard(() => systemd.comeBack())).toEqual(['*']);
});
