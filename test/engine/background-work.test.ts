/** Long-running work is awaited in the background: it delays only what depends on it. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { SyncLine } from '../../agent/core/progress.ts';
import { createFakeHost, type FakeHost, reconcilerOn } from '../fakes/host.ts';
import type { Reconciler } from '../reconciler.ts';

let host: FakeHost;
let engine: Reconciler;
/** Jobs that were started, in order. */
let begun: string[];
let end: (code: number) => void;

beforeEach(() => {
  host = createFakeHost();
  begun = [];
  const exec = host.options.exec;
  host.options.exec = (argv, options) => {
    if (argv[0] !== 'systemd-run') return exec(argv, options);
    begun.push(argv.find((a) => a.startsWith('--unit='))?.slice('--unit=fairlead-job-'.length) ?? '');
    const ended = Promise.withResolvers<Awaited<ReturnType<typeof exec>>>();
    end = (code) => ended.resolve({ code, stdout: '', stderr: '' });
    return ended.promise;
  };
  host.engine.registry.push('app:1', { config: { Cmd: ['httpd'] } });
  engine = reconcilerOn(host, { rollback: true });
});
afterEach(() => {
  engine.close();
  host.end();
});

const files = (n: number) => ({
  'a.yaml': `files:\n  /etc/motd: {content: "${n}"}\n  /etc/after: {content: "x", after: ["job:long"]}\njobs: {long: {run: [long], timeout: 1h}}\n`,
  'shop/compose.yaml': 'services: {web: {image: "app:1"}}\n',
});
const onDisk = (file: string) => readFileSync(path.join(host.root, file), 'utf8');
/** Requests another run as soon as only the job is left. */
const untilOnlyJobIsLeft = (lines: SyncLine[] = []) => ({
  emit: (line: SyncLine) => void lines.push(line),
  hasNext: () => true,
});

test('a long job delays only what depends on it, and the next run waits for the same job', async () => {
  await engine.apply({ 'a.yaml': 'files: {/etc/motd: {content: "0"}}\n' });
  const first = await engine.apply(files(1), undefined, untilOnlyJobIsLeft());
  expect(first.outcome.verdict).toBe('open');
  expect(first.run.sync).toBe('progressing');
  expect(onDisk('etc/motd')).toBe('1');
  expect(host.engine.containers().map((c) => c.status)).toEqual(['running']);
  expect(existsSync(path.join(host.root, 'etc/after'))).toBe(false);
  await engine.again(untilOnlyJobIsLeft());
  expect(begun).toEqual(['long.service']);
  end(0);
  expect((await engine.again()).run.sync).toBe('synced');
  expect(begun).toEqual(['long.service']);
  expect(onDisk('etc/after')).toBe('x');
});

test('the result of a job that ended between two runs is reported by the next run', async () => {
  await engine.apply({ 'a.yaml': 'files: {/etc/motd: {content: "0"}}\n' });
  await engine.apply(files(1), undefined, untilOnlyJobIsLeft());
  end(3);
  const ran = await engine.again();
  expect({ sync: ran.run.sync, reason: ran.run.reason }).toEqual({ sync: 'rolled-back', reason: 'JobFailed' });
  expect(begun).toEqual(['long.service']);
});

test('a newer commit is applied meanwhile', async () => {
  await engine.apply({ 'a.yaml': 'files: {/etc/motd: {content: "0"}}\n' });
  await engine.apply(files(1), undefined, untilOnlyJobIsLeft());
  await engine.apply(files(2), undefined, untilOnlyJobIsLeft());
  expect(onDisk('etc/motd')).toBe('2');
  expect(begun).toEqual(['long.service']);
});

test('a waiting run reports what it waits for, since when and until when, and lets repairs run', async () => {
  let yields = 0;
  const lines: SyncLine[] = [];
  let looks = 0;
  await engine.apply(files(1), undefined, {
    emit: (line) => void lines.push(line),
    hasNext: () => ++looks > 3,
    yielding: (wait) => {
      yields++;
      return wait;
    },
  });
  const waiting = lines.flatMap((line) => (line.type === 'phase' ? (line.waiting ?? []) : []));
  expect(waiting[0]).toMatchObject({
    id: 'job:long',
    since: expect.stringMatching(/^2026/),
    until: expect.stringMatching(/^2026/),
  });
  expect(yields).toBeGreaterThan(1);
});

test('a long-running oneshot is awaited in the background as well', async () => {
  const unit = (more: string) =>
    `units: {slow.service: {content: "[Service]\\nType=oneshot\\nExecStart=/bin/sleep 100\\n", state: started}}\n${more}`;
  const first = await engine.apply({ 'u.yaml': unit('') }, undefined, untilOnlyJobIsLeft());
  expect(first.outcome.verdict).toBe('open');
  // Time of this clock passes only while somebody waits for it.
  const ran = await engine.again();
  expect(ran.run.sync).toBe('synced');
  expect(ran.outcome.actions.map((a) => `${a.op} ${a.id} ${a.result}`)).toEqual(['create unit:slow.service done']);
});
