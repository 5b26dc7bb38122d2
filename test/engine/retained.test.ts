/** What is published to the broker, and when: at the start, during a run, after a reconnect. */
import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import { until } from '../lab/run.ts';
import { PATIENCE_MS, startTrial, type Trial } from './trial.ts';

let trial: Trial;
const FILE = 'hosts/trial/a.yaml';
const STATUS = 'fairlead/default/hosts/trial/status';
const withLog = () => onTestFailed(() => console.error(trial.log()));
const newest = () => trial.statuses.at(-1);
/** The broker has received everything. */
const isUpToDate = async () => newest()?.seq === (await trial.client.get<StatusDocument>('status'))?.seq;

beforeAll(async () => {
  trial = await startTrial();
});
afterAll(async () => trial.end());

test('a run with work reports its progress, one without work does not', async () => {
  withLog();
  const commit = await trial.commit({ [FILE]: 'files:\n  /etc/a: {content: "1"}\n' }, 'One file');
  await trial.start();
  await until('the run', PATIENCE_MS, async () => newest()?.sync === 'synced');
  expect(newest()?.applied?.commit).toBe(commit);
  // Progress is published only if a run takes more than a second: this one takes until it was published.
  const go = path.join(trial.root, '../go');
  const slow = `files:\n  /etc/a: {content: "2", validate: [sh, -c, "while [ ! -e ${go} ]; do sleep 0.1; done", "%s"]}\n`;
  await trial.commit({ [FILE]: slow }, 'Another content, which takes a while');
  trial.statuses.length = 0;
  const run = trial.client.sync({}, { wait: true, line: () => undefined });
  await until('a status about it', PATIENCE_MS, async () => trial.statuses.some((s) => s.sync === 'progressing'));
  fs.writeFileSync(go, '');
  await run;
  await until('the change', PATIENCE_MS, async () => newest()?.run?.id === 2);
  // Each step of a run may be published; only its end differs. Earlier messages may still be on their way.
  const said = trial.statuses.slice(trial.statuses.findIndex((s) => s.sync === 'progressing'));
  expect([...new Set(said.map((s) => s.sync))]).toEqual(['progressing', 'synced']);
  await until('its last status', PATIENCE_MS, isUpToDate);
  trial.statuses.length = 0;
  await trial.client.sync({}, { wait: true, line: () => undefined });
  await until('the quiet run', PATIENCE_MS, async () => trial.statuses.length > 0 && (await isUpToDate()));
  expect(new Set(trial.statuses.map((s) => s.sync))).toEqual(new Set(['synced']));
});

test('after a restart the first status has everything that was known, and reports no health that was not observed', async () => {
  withLog();
  let before: StatusDocument | undefined;
  let first: StatusDocument | undefined;
  // On a busy machine the first run may end before the connection exists, and then its result is the first status.
  for (let tries = 0; tries < 10 && (first === undefined || first.run?.id !== before?.run?.id); tries++) {
    before = newest();
    await trial.stop('SIGKILL');
    trial.statuses.length = 0;
    await trial.start();
    await until('the first run', PATIENCE_MS, async () => (newest()?.run?.id ?? 0) > (before?.run?.id ?? 0));
    // A last status of the previous process may have arrived since.
    first = trial.statuses.find((s) => s.agent.instance !== before?.agent.instance);
  }
  expect(first).toMatchObject({
    sync: 'synced',
    health: 'unknown',
    applied: before?.applied,
    lastGood: before?.lastGood,
    desired: before?.desired,
    run: before?.run,
    resources: { total: 1, synced: 1 },
  });
  expect(newest()).toMatchObject({ sync: 'synced', health: 'healthy' });
});

test('after a reconnect, the broker does not retain a status that reports it as unreachable', async () => {
  withLog();
  await trial.cut();
  await until('the daemon to notice', PATIENCE_MS, async () => {
    const status = await trial.client.get<{ reason: string }>('status');
    return status?.reason === 'BrokerUnreachable';
  });
  trial.statuses.length = 0;
  await trial.mend();
  // It reconnects within half a minute, or within the minute after that if it tried too early.
  await until('the next status', PATIENCE_MS, async () => trial.statuses.length > 0);
  expect(newest()).toMatchObject({ sync: 'synced', reason: '', problemsTotal: 0 });
  expect(JSON.parse(trial.retained.get(STATUS) ?? '{}')).toMatchObject({ reason: '' });
});
