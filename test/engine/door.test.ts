/**
 * Everything that is applied passes one review: the real engine and store with a real git server that may lie, with `verify` on.
 */
import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { parseConfig } from '../../agent/config.ts';
import { hold } from '../../agent/control/holds.ts';
import type { Checkout } from '../../agent/core/types.ts';
import { TRY } from '../../agent/engine/decide/mode.ts';
import { converge } from '../../agent/engine/run/converge.ts';
import { createRun, requestFor } from '../../agent/engine/run/create-run.ts';
import { mayGoTo, mayRead } from '../../agent/engine/run/guards/door.ts';
import { preview } from '../../agent/engine/run/preview.ts';
import type { Outcome } from '../../agent/engine/types.ts';
import { createSource } from '../../agent/git/source.ts';
import { credentials } from '../../agent/host-probes.ts';
import { silentLog } from '../../agent/log.ts';
import type { Shown } from '../../agent/store/facts.ts';
import { exec } from '../../agent/system/exec.ts';
import { type Backend, createFixture, type Fixture, scratch, startBackend } from '../unit/git/backend.ts';
import { failure, noSignal } from '../unit/git/pull.ts';
import { type Author, createAuthor, createSigners, type Signers } from '../unit/git/signing.ts';
import { createWorld, type World } from './world.ts';

let root: string;
let backend: Backend;
let signers: Signers;
let fixture: Fixture;
let author: Author;
let world: World;
let count = 0;

beforeAll(async () => {
  root = scratch();
  backend = await startBackend(root);
  signers = createSigners(root);
});
beforeEach(() => {
  fixture = createFixture(root, `fleet-${++count}.git`);
  author = createAuthor(fixture, signers, 'hosts/a/x.yaml');
  world = createWorld();
  follow('main');
});
afterEach(() => {
  backend.intercept(null);
  world.end();
});
afterAll(async () => {
  await backend.stop();
  rmSync(root, { recursive: true, force: true });
});

/** The status of a host until its first run has ended. */
const SHOWN: Shown = {
  ...{ mode: 'enforce', labels: {}, desired: null, resources: [], whole: [], hostStates: [], gate: null },
  ...{ reason: '', message: '', problems: [], warnings: [] },
};
/** The settings of agent.yaml from the next start on. */
function follow(ref: string, more: { since?: string; allowedSigners?: string; mode?: 'head' | 'strict' } = {}): void {
  const { since, mode = 'head', allowedSigners = signers.allowedSigners } = more;
  world.crash();
  world.source = createSource({
    ...{ url: backend.url(path.basename(fixture.dir)), ref, path: 'hosts/a', env: {}, exec, log: silentLog },
    ...{ gitdir: path.join(world.dir, 'repo.git'), verify: { allowedSigners, mode } },
    ...(since === undefined ? {} : { since }),
  });
}
/** The same without signatures. */
function trustAll(ref: string): void {
  world.crash();
  world.source = createSource({
    ...{ url: backend.url(path.basename(fixture.dir)), ref, path: 'hosts/a', env: {}, exec, log: silentLog },
    gitdir: path.join(world.dir, 'repo.git'),
  });
}
const says = (value: string, health?: string) =>
  JSON.stringify({ 'file:/a': { value, ...(health ? { health } : {}) } });
/** Commits a host whose file is `value`. */
const commit = (value: string, by: string | null = 'ann') => author.commit(says(value), by);
const value = () => world.things.get('file:/a')?.value;
const run = async (request: Parameters<World['run']>[0] = {}) =>
  (await world.run(request)) as Outcome & { sync: string };
const rollback = (id?: string) => hold(world.deps(), 'rollback', id === undefined ? {} : { commit: id });
const resume = () => hold(world.deps(), 'resume', {});
/** The branch names this commit from now on, whatever it named before. */
const serve = (id: string, ref = 'refs/heads/main') => author.git('update-ref', ref, id);
const away = () =>
  backend.intercept((_, response) => {
    response.destroy();
    return true;
  });
/** The database is lost; the files beside it are not. */
function loseHistory(): void {
  world.crash();
  for (const name of readdirSync(world.dir)) if (name.startsWith('history.db')) rmSync(path.join(world.dir, name));
}

describe('the plan of a commit, for a reader who is not on this host', () => {
  const ask = async (commit?: string) => (await mayRead(world.deps(), commit, noSignal))?.reason ?? 'shown';

  test('is shown only for commits with the required signatures', async () => {
    const first = commit('first');
    const evil = commit('evil', null);
    commit('good');
    expect(await ask(first)).toBe('shown');
    expect(await ask(evil)).toBe('Unsigned');
    expect(await ask()).toBe('shown');
    commit('bad', null);
    expect(await ask()).toBe('Unsigned');
  });

  test('is shown, if no signatures are required, for the head and for commits that this host accepted', async () => {
    trustAll('main');
    const before = commit('before', null);
    const accepted = commit('accepted', null);
    await run();
    const head = commit('head', null);
    expect(await ask(head)).toBe('shown');
    expect(await ask()).toBe('shown');
    expect(await ask(accepted)).toBe('shown');
    expect(await ask(before)).toBe('NotReviewed');
  });
});

describe('a pin', () => {
  test('to a commit that is unsigned, or older than the floor, is refused at once', async () => {
    const low = commit('low');
    const floor = commit('floor');
    const evil = commit('evil', null);
    follow('main', { since: floor });
    commit('good');
    expect((await run()).sync).toBe('synced');
    expect(await failure(rollback(evil))).toMatch(/^Unsigned: .*is not signed.*\[Unsigned\]$/);
    expect(await failure(rollback(low))).toMatch(/^BelowFloor: /);
    expect(world.deps().store.commits.get().pin).toBeNull();
    expect((await preview(world.deps(), noSignal, evil)).held).toMatch(/\[Unsigned\]/);
  });

  test('that was set nevertheless applies nothing, and the running state is repaired', async () => {
    commit('first');
    const evil = commit('evil', null);
    commit('good');
    await run();
    world.deps().store.commits.set({ pin: { commit: evil, at: '2026-03-01T00:00:00.000Z' } });
    world.things.delete('file:/a');
    expect(await run()).toMatchObject({
      sync: 'held',
      reason: 'Unsigned',
      message: expect.stringMatching(/not signed/),
    });
    expect(value()).toBe('good');
    expect((await preview(world.deps(), noSignal)).held).toMatch(/\[Unsigned\]/);
    // The same holds while a newer commit waits.
    commit('newer');
    expect([(await run()).reason, value()]).toEqual(['Unsigned', 'good']);
    await resume();
    expect([(await run()).sync, value()]).toEqual(['synced', 'newer']);
  });

  test('to an unknown commit, or while the repository is unreachable, is refused with that reason', async () => {
    const older = commit('older');
    await run();
    commit('good');
    await run();
    expect(await failure(rollback('d'.repeat(40)))).toMatch(/^CommitUnknown: /);
    away();
    expect(await failure(rollback('d'.repeat(40)))).toMatch(/^RepositoryUnreachable: /);
    expect(world.deps().store.commits.get().pin).toBeNull();
    // A commit that is stored on this host needs no server.
    expect((await rollback(older)).pin?.commit).toBe(older);
    await run();
    expect(value()).toBe('older');
  });

  test('whose commit cannot be fetched does not end a run with a bug', async () => {
    const never = commit('never here');
    commit('good');
    await run();
    world.deps().store.commits.set({ pin: { commit: never, at: '2026-03-01T00:00:00.000Z' } });
    rmSync(path.join(world.dir, 'repo.git'), { recursive: true });
    follow('main');
    // The server answers the poll, and nothing else.
    backend.intercept((_, response, body) => {
      if (body.includes('command=ls-refs')) return false;
      response.destroy();
      return true;
    });
    world.things.delete('file:/a');
    expect(await run()).toMatchObject({ sync: 'failed', reason: 'RepositoryUnreachable' });
    expect(value()).toBe('good');
    backend.intercept(null);
    expect([(await run()).reason, value()]).toEqual(['Pinned', 'never here']);
  });

  test('to a commit beside the branch does not make the branch a rewritten one', async () => {
    const fork = commit('fork');
    author.git('checkout', '-q', '-b', 'side');
    const side = commit('side');
    author.git('checkout', '-q', 'main');
    const head = commit('head');
    await run();
    await rollback(side);
    expect([(await run()).sync, value()]).toEqual(['held', 'side']);
    expect(world.deps().store.commits.get().accepted).toBe(side);
    await resume();
    expect([(await run()).sync, value()]).toEqual(['synced', 'head']);
    // Nor does it let the branch rewind to the pinned commit.
    await rollback(fork);
    expect([(await run()).reason, value()]).toEqual(['Pinned', 'fork']);
    await resume();
    serve(fork);
    expect([(await run()).reason, value()]).toEqual(['HistoryRewritten', 'fork']);
    serve(head);
    expect([(await run()).sync, value()]).toEqual(['synced', 'head']);
  });

  test('that is set before any head was seen does not limit the head', async () => {
    const fork = commit('fork');
    author.git('checkout', '-q', '-b', 'side');
    const side = commit('side');
    author.git('checkout', '-q', 'main');
    serve(fork);
    await rollback(side);
    expect([(await run()).reason, value()]).toEqual(['Pinned', 'side']);
    await resume();
    expect([(await run()).sync, value()]).toEqual(['synced', 'fork']);
  });

  test('by a command is limited to commits that this host accepted, also after the loss of its history', async () => {
    const before = commit('before this host');
    const first = commit('first');
    await run();
    commit('second');
    await run();
    const ask = async (id: string) => (await mayGoTo(world.deps(), id, 'broker', noSignal)).hold?.reason ?? 'passed';
    expect([await ask(first), await ask(before)]).toEqual(['passed', 'NotAccepted']);
    expect(await failure(hold(world.deps(), 'rollback', { commit: before }, { by: 'broker' }))).toMatch(
      /^NotAccepted: /,
    );
    loseHistory();
    expect([await ask(first), await ask(before)]).toEqual(['passed', 'NotAccepted']);
    world.deps().store.commits.set({ pause: { until: null, reason: 'a person', at: '2026-03-01T00:00:00.000Z' } });
    expect((await hold(world.deps(), 'rollback', { commit: first }, { by: 'broker' })).pin).toMatchObject({
      by: 'broker',
    });
    // A command does not change the pause of a person.
    expect(world.deps().store.commits.get().pause).toMatchObject({ reason: 'a person' });
    world.deps().store.commits.set({ pause: null });
    expect([(await run()).reason, value()]).toEqual(['Pinned', 'first']);
  });
});

describe('the loss of the history', () => {
  test('lets nothing older pass, by branch or pattern', async () => {
    const first = commit('first');
    author.tag('v1.0.0');
    const second = commit('second');
    author.tag('v1.1.0');
    for (const [ref, reason] of [
      ['main', 'HistoryRewritten'],
      ['v1.*', 'TagWithdrawn'],
    ] as const) {
      follow(ref);
      await run();
      expect(value()).toBe('second');
      serve(first);
      author.git('tag', '-d', 'v1.1.0');
      loseHistory();
      expect(await run()).toMatchObject({ sync: 'held', reason });
      expect(value()).toBe('second');
      expect([(await run({ allowRewind: true })).sync, value()]).toEqual(['synced', 'first']);
      expect((await run()).sync).toBe('synced');
      serve(second);
      author.tag('v1.1.0', second);
    }
  });

  test('and of the record holds commits; the loss of the history alone restores the record', async () => {
    const record = () => path.join(world.dir, 'trust.json');
    const first = commit('first');
    const second = commit('second');
    await run();
    const whole = readFileSync(record(), 'utf8');
    expect(JSON.parse(whole)).toMatchObject({ accepted: [{ commit: second, kind: 'branch', name: 'main' }] });
    world.crash();
    rmSync(record());
    await run();
    expect(JSON.parse(readFileSync(record(), 'utf8')).newest).toMatchObject(
      Object.fromEntries([[world.source?.id, { commit: second }]]),
    );
    serve(first);
    expect((await run()).reason).toBe('HistoryRewritten');

    loseHistory();
    writeFileSync(record(), whole.slice(0, -20));
    expect(await run()).toMatchObject({ sync: 'held', reason: 'RecordUnreadable' });
    expect(value()).toBe('second');
    expect([(await run({ allowRewind: true })).sync, value()]).toEqual(['synced', 'first']);
    expect((await run()).sync).toBe('synced');
  });
});

test('a host from before the record existed knows its tag from its last status', async () => {
  commit('first');
  author.tag('v1.0.0');
  commit('second');
  author.tag('v1.1.0');
  follow('v1.*');
  const { commit: desired } = await run();
  world.deps().store.facts.set({
    shown: { ...SHOWN, desired: desired && { ...desired, tag: 'v1.1.0' } },
  });
  author.git('tag', '-d', 'v1.1.0');
  follow('v1.*');
  rmSync(path.join(world.dir, 'trust.json'));
  expect(await run()).toMatchObject({ reason: 'TagWithdrawn' });
  expect(value()).toBe('second');
});

test('doctor reports the files that the daemon would not trust', async () => {
  const file = path.join(root, `agent-${++count}.yaml`);
  const allowedSigners = path.join(root, `signers-${count}`);
  for (const name of [file, allowedSigners]) writeFileSync(name, 'ann@example.com ssh-ed25519 AAAA\n');
  const text = `host: a\nrepo: {url: /x, verify: {allowedSigners: ${allowedSigners}}}\n`;
  const asked = () => credentials(parseConfig(file, text, 'a'), file, '/nonexistent');
  expect(await asked()).toMatch(/^1 file, each there/);
  chmodSync(allowedSigners, 0o664);
  await expect(asked()).rejects.toThrow(/signers-\d+ can be written by others than its owner.*no signature counts/);
});

describe('under a changed policy', () => {
  /** No signature of ann counts any more. */
  function untrustAnn(): string {
    const file = path.join(root, `signers-${++count}`);
    writeFileSync(file, `eve@example.com ${signers.key('eve')}\n`);
    return file;
  }

  test('the accepted commit is reviewed again, and the running state stays', async () => {
    commit('first');
    await run();
    follow('main', { allowedSigners: untrustAnn() });
    world.things.delete('file:/a');
    expect(await run()).toMatchObject({ sync: 'held', reason: 'UnknownSigner' });
    expect(value()).toBe('first');
    expect(await failure(rollback())).toMatch(/^(NoSuchCommit|UnknownSigner): /);
  });

  test('a trial that was started does not continue, not even without the server', async () => {
    commit('first');
    await run();
    // An outage keeps the trial open.
    const content = { 'file:/a': { value: 'second' }, 'service:p/x': { value: '1', fails: 'EngineUnreachable' } };
    const second = author.commit(JSON.stringify(content));
    await run();
    expect([world.deps().store.commits.get().trial, value()]).toEqual([second, 'second']);
    // As long as it is trusted, it continues without the server.
    away();
    world.crash();
    world.things.delete('file:/a');
    expect([(await run()).reason, value()]).toEqual(['EngineUnreachable', 'second']);
    follow('main', { allowedSigners: untrustAnn() });
    expect([(await run()).reason, value()]).toEqual(['RepositoryUnreachable', 'first']);
  });

  test('a rollback to the last good commit happens only if that passes the review', async () => {
    commit('first');
    await run();
    follow('main', { allowedSigners: untrustAnn() });
    author.commit(JSON.stringify({ 'file:/a': { value: 'bad' }, 'service:p/x': { value: '1', health: 'bad' } }), 'eve');
    expect(await run()).toMatchObject({ sync: 'failed', reason: 'RollbackFailed' });
    expect(value()).toBe('bad');
  });
});

test('a rewind that a person allowed continues after an outage without another permission', async () => {
  const content = { 'file:/a': { value: 'older' }, 'service:p/x': { value: '1', fails: 'EngineUnreachable' } };
  const older = author.commit(JSON.stringify(content));
  commit('newer');
  await run();
  serve(older);
  expect((await run()).reason).toBe('HistoryRewritten');
  await run({ allowRewind: true });
  expect(world.deps().store.commits.get().trial).toBe(older);
  world.crash();
  const again = await run();
  expect([again.reason, value()]).toEqual(['EngineUnreachable', 'older']);
});

test('only the review creates the type that is converged to', async () => {
  const plain: Checkout = { info: { ...(await head()) }, hostPath: 'hosts/a', hostExists: true, files: new Map() };
  const request = createRun(world.deps(), requestFor(noSignal));
  // @ts-expect-error a checkout that did not pass the door
  const unchecked = () => converge(request, { checkout: plain, mode: TRY, gate: null });
  expect(unchecked).toBeTypeOf('function');
  const agent = path.join(import.meta.dirname, '../../agent');
  const casts = readdirSync(agent, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .filter((name) => /\bas (unknown as )?Reviewed\b/.test(readFileSync(path.join(agent, name), 'utf8')));
  expect(casts).toEqual(['engine/run/guards/door.ts']);
});

async function head() {
  commit('first');
  return (await run()).commit ?? { ref: '', commit: '', author: '', subject: '', committedAt: '' };
}
