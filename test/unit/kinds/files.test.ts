/** Files on a host in memory: which resources are notified, and what waits for a person's consent. */
import { chmodSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { done, whyOf } from '../../reconciler.ts';
import { freshHost } from './fresh-host.ts';

const on = freshHost();
const files = (text: string) => ({ 'f.yaml': `files:\n${text}` });

describe('a change of mode alone', () => {
  const SLEEPS = '[Service]\nExecStart=/bin/sleep 1000\n';
  const repo = (mode: string) => ({
    'f.yaml': `files: {/srv/a: {content: a, mode: "${mode}", notify: ["unit:x.service"]}}\n`,
    'u.yaml': `units: {x.service: {content: ${JSON.stringify(SLEEPS)}, state: started}}\njobs: {z: {run: ["true"], after: ["file:/srv/a"]}}\n`,
  });
  test('restarts nothing and runs no job', async () => {
    await on.engine.apply(repo('0644'));
    expect(done(await on.engine.apply(repo('0600')))).toEqual(['update file:/srv/a done']);
    expect(statSync(path.join(on.host.root, 'srv/a')).mode & 0o777).toBe(0o600);
  });

  test('that drifted is repaired, and restarts nothing', async () => {
    await on.engine.apply(repo('0644'));
    chmodSync(path.join(on.host.root, 'srv/a'), 0o666);
    expect(done(await on.engine.again())).toEqual(['update file:/srv/a done']);
  });

  test('together with changed content notifies', async () => {
    await on.engine.apply(repo('0644'));
    const changed = { ...repo('0600'), 'f.yaml': repo('0600')['f.yaml'].replace('content: a', 'content: b') };
    expect(done(await on.engine.apply(changed))).toContain('refresh unit:x.service done');
  });
});

describe('a first purge', () => {
  const purged = files('  /srv/d/: {purge: true}\n  /srv/d/ours: {content: x}\n  /srv/e: {content: x}\n');
  const names = () => readdirSync(path.join(on.host.root, 'srv/d')).sort();
  const asked = { allowPrune: false };
  const signal = new AbortController().signal;
  beforeEach(() => {
    mkdirSync(path.join(on.host.root, 'srv/d'));
    for (const name of ['theirs', 'another']) writeFileSync(path.join(on.host.root, 'srv/d', name), 'x');
  });

  test('that would remove foreign files is held; the rest is applied', async () => {
    const { run, outcome } = await on.engine.apply(purged, signal, asked);
    expect(run.sync).toBe('held');
    expect(outcome.message).toMatch(/would remove 2 entries that nobody declares: another, theirs; .*--allow-prune/);
    expect(outcome.reason).toBe('PurgeUnconfirmed');
    expect(names()).toEqual(['another', 'ours', 'theirs']);
  });

  test('runs when a person allows it, and without consent from then on', async () => {
    await on.engine.apply(purged, signal, asked);
    await on.engine.again({ allowPrune: true });
    expect(names()).toEqual(['ours']);
    writeFileSync(path.join(on.host.root, 'srv/d/new'), 'x');
    expect((await on.engine.again(asked)).run.sync).toBe('synced');
    expect(names()).toEqual(['ours']);
  });

  test('of a directory that was managed without purge is held as well', async () => {
    await on.engine.apply(files('  /srv/d/: {}\n'), signal, asked);
    expect((await on.engine.apply(purged, signal, asked)).run.sync).toBe('held');
    expect(names()).toEqual(['another', 'ours', 'theirs']);
  });

  test('of a directory that is to be absent is held as well', async () => {
    const absent = files('  /srv/d: {state: absent, purge: true}\n  /srv/e: {content: x}\n');
    expect((await on.engine.apply(absent, signal, asked)).run.sync).toBe('held');
    await on.engine.again({ allowPrune: true });
    expect(readdirSync(path.join(on.host.root, 'srv'))).toEqual(['e']);
  });

  test('of an empty or just created directory needs no consent', async () => {
    const made = files('  /srv/new/: {purge: true}\n  /srv/new/ours: {content: x}\n');
    expect((await on.engine.apply(made, signal, asked)).run.sync).toBe('synced');
  });
});

test('a directory that stays because it has foreign files is reported', async () => {
  await on.engine.apply(files('  /srv/d/: {}\n  /srv/d/ours: {content: x}\n  /srv/e: {content: x}\n'));
  writeFileSync(path.join(on.host.root, 'srv/d/theirs'), 'x');
  const result = await on.engine.apply(files('  /srv/e: {content: x}\n'));
  expect(whyOf(result, 'file:/srv/d')).toContainEqual({
    field: 'directory',
    to: "/srv/d stays on the host, with what is not fairlead's in it: theirs",
  });
  expect(whyOf(result, 'file:/srv/d/ours')).toEqual([{ field: 'declaration', to: 'gone' }]);
  expect(done(result).sort()).toEqual(['release file:/srv/d done', 'remove file:/srv/d/ours done']);
});

test('a directory that existed before is released, with its mode restored', async () => {
  mkdirSync(path.join(on.host.root, 'srv/d'), { recursive: true });
  await on.engine.apply(files('  /srv/d/: {mode: "0700"}\n  /srv/e: {content: x}\n'));
  expect(done(await on.engine.apply(files('  /srv/e: {content: x}\n')))).toEqual(['release file:/srv/d done']);
});
