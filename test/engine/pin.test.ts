/** `rollback COMMIT`: what it refuses, and that a pinned host is compared with the commit that is applied. */
import fs from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFailed, test } from 'vitest';
import { hold } from '../../agent/control/holds.ts';
import { heldTo } from '../../agent/engine/run/guards/door.ts';
import { resourcesDocument, statusDocument } from '../../manifests-schema/payloads.ts';
import { failure } from '../unit/git/pull.ts';
import { startTrial, type Trial } from './trial.ts';
import { createWorld, type World } from './world.ts';

describe('with the daemon as a process', () => {
  let trial: Trial;
  const ids: Record<string, string> = {};
  const FILE = 'hosts/trial/a.yaml';
  const status = async () => statusDocument.parse(await trial.client.get('status'));
  const commit = async (name: string, files: Record<string, string | null>) => {
    ids[name] = await trial.commit(files, name);
    await trial.cli('sync');
  };
  const repo = () => path.join(trial.root, '../fleet');

  beforeAll(async () => {
    trial = await startTrial();
    await trial.start();
    await commit('elsewhere', { 'hosts/other/a.yaml': 'files: {/etc/a: {content: x}}\n' });
    await commit('one', { [FILE]: 'files: {/etc/a: {content: "1"}, /etc/b: {content: b}}\n' });
    await commit('wrong', { [FILE]: 'files: {/etc/a: {contents: "1"}}\n' });
    await commit('two', { [FILE]: 'files: {/etc/a: {content: "2"}, /etc/b: {content: b}}\n' });
  });
  afterAll(async () => trial.end());
  beforeEach(() => onTestFailed(() => console.error(trial.log())));
  afterEach(async () => {
    expect(await status()).toMatchObject({ pin: null, sync: 'synced' });
    expect(fs.readFileSync(path.join(trial.root, 'etc/a'), 'utf8')).toBe('2');
  });

  test.each([
    ['that does not exist', () => '0123456789012345678901234567890123456789', /has no commit 0123456/],
    ['with errors', () => ids.wrong, /has errors.*hosts\/trial\/a\.yaml:1:.*`content`.*\[InvalidCommit\]/],
    ['without this host', () => ids.elsewhere, /has nothing for this host in hosts\/trial.*\[Unassigned\]/],
  ])('a commit %s is refused in one sentence, and nothing is pinned', async (_, id, said) => {
    const { code, stderr } = await trial.cli('rollback', id() ?? '');
    expect(code).toBe(1);
    expect(stderr).toMatch(said);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(stderr).not.toContain('bug');
  });

  test('a commit that only the repository has is refused while the repository is unreachable', async () => {
    const unseen = await trial.commit({ 'hosts/other/a.yaml': 'files: {/etc/a: {content: y}}\n' }, 'Unseen');
    fs.renameSync(repo(), `${repo()}.away`);
    try {
      const { code, stderr } = await trial.cli('rollback', unseen);
      expect([code, stderr]).toEqual([1, expect.stringContaining(repo())]);
    } finally {
      fs.renameSync(`${repo()}.away`, repo());
    }
    await trial.cli('sync');
  });

  test('the desired commit stays the head, and one command causes one run', async () => {
    const before = await status();
    const { code, stdout } = await trial.cli('rollback', ids.one ?? '');
    expect([code, stdout]).toEqual([0, expect.stringMatching(/file:\/etc\/a/)]);
    const pinned = await status();
    expect(pinned).toMatchObject({ pin: ids.one, desired: { subject: 'Unseen' } });
    expect((pinned.run?.id ?? 0) - (before.run?.id ?? 0)).toBe(1);
    expect(resourcesDocument.parse(await trial.client.get('resources')).resources).toHaveLength(2);
    await trial.cli('resume');
    await trial.cli('sync');
  });
});

describe('a host in memory', () => {
  const GOOD = 'a'.repeat(40);
  const BAD = 'b'.repeat(40);
  const NEW = 'c'.repeat(40);
  let world: World;
  beforeEach(async () => {
    world = createWorld();
    world.commit(GOOD, { 'file:/a': { value: '1' }, 'service:p/web': { value: '1' } });
    await world.run();
    world.commit(BAD, { 'file:/a': { value: '2' }, 'service:p/web': { value: '2', health: 'bad' } });
    await world.run();
    world.commit(NEW, { 'file:/a': { value: '3' }, 'service:p/web': { value: '3' } });
    await world.run();
  });
  afterEach(() => world.end());
  const to = (request: object) => hold(world.deps(), 'rollback', request);
  const run = () => world.run();

  test('a commit that did not settle here is refused, and the message names --force', async () => {
    const why = await failure(hold(world.deps(), 'rollback', { commit: BAD }));
    expect(why).toMatch(/did not settle on this host \(service:p\/web: .*--force/);
    expect(world.deps().store.commits.get().pin).toBeNull();
  });

  test('with --force it is applied, and drift is compared with it from then on', async () => {
    await to({ commit: BAD, force: true });
    const outcome = await run();
    expect(outcome.resources.map((r) => [r.id, r.health])).toContainEqual(['file:/a', 'healthy']);
    expect((await heldTo(world.deps()))?.info.commit).toBe(BAD);
    expect(world.things.get('file:/a')?.value).toBe('2');
  });

  test('without the pin, the host continues to the head', async () => {
    await to({ commit: BAD, force: true });
    await run();
    await hold(world.deps(), 'resume', {});
    await run();
    expect(world.things.get('file:/a')?.value).toBe('3');
    expect((await heldTo(world.deps()))?.info.commit).toBe(NEW);
  });

  test('a pin that can no longer be applied keeps the running resources, and repairs them', async () => {
    world.deps().store.commits.set({ pin: { commit: GOOD, at: '' } });
    world.unreadable.add(GOOD);
    world.things.delete('file:/a');
    const outcome = await run();
    expect(world.things.get('file:/a')?.value).toBe('3');
    expect(outcome).toMatchObject({ rejected: true, commit: { commit: NEW }, gate: { kind: 'pin' } });
    expect(outcome.resources.map((r) => r.id)).toEqual(['file:/a', 'service:p/web']);
  });
});
