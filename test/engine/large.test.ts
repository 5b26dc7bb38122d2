/** A large payload file through the real daemon: fetched, checked, written, repaired and shown, without being held in memory. */
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import { until } from '../lab/run.ts';
import { type Backend, createFixture, type Fixture, startBackend } from '../unit/git/backend.ts';
import { PATIENCE_MS, startTrial, type Trial } from './trial.ts';

let trial: Trial;
let backend: Backend;
let fixture: Fixture;
let refuses = false;
const BIG = randomBytes(9_000_000).toString('latin1');
/** Two large contents of the same size that differ. */
const OTHER = `${BIG.startsWith('x') ? 'y' : 'x'}${BIG.slice(1)}`;
const on = (file: string) => path.join(trial.root, file);
const text = (file: string) => fs.readFileSync(on(file), 'latin1');
const payload = (name: string, content: string) => {
  fs.mkdirSync(path.join(fixture.work, 'hosts/trial/files/below'), { recursive: true });
  fs.writeFileSync(path.join(fixture.work, 'hosts/trial/files', name), content, 'latin1');
};
const manifest = (validate: string) => ({
  'hosts/trial/a.yaml': `files:
  /etc/big: {source: files/big, validate: ${validate}}
  /etc/tree: {source: files/below}
  /etc/text: {source: files/text, template: true}
`,
});
const withLog = () => onTestFailed(() => console.error(trial.log()));

beforeAll(async () => {
  trial = await startTrial();
  const server = path.join(trial.root, '../server');
  fs.mkdirSync(server);
  fixture = createFixture(server);
  backend = await startBackend(server);
  backend.intercept((_, response) => {
    if (refuses) response.writeHead(503).end();
    return refuses;
  });
  const config = on('etc/fairlead/agent.yaml');
  const url = backend.url('fleet.git');
  fs.writeFileSync(config, fs.readFileSync(config, 'utf8').replace(/repo: \{.*\}/, `repo: {url: "${url}"}`));
});
afterAll(async () => {
  await trial.end();
  await backend.stop();
});

test('a large file is fetched, checked by its validator, written, and observed like any other', async () => {
  withLog();
  payload('big', BIG);
  payload('below/too', BIG.slice(0, 2_000_000));
  payload('text', '{{ host.name }}\n'.padEnd(1_200_000, '.'));
  fixture.commit(manifest('[grep, -q, "", "%s"]'));
  await trial.start();
  const { code, stderr } = await trial.cli('sync');
  expect([code, stderr]).toEqual([0, '']);
  expect(text('etc/big') === BIG).toBe(true);
  expect(text('etc/tree/too') === BIG.slice(0, 2_000_000)).toBe(true);
  expect(text('etc/text').slice(0, 6)).toBe('trial\n');
  expect((await trial.cli('plan')).code).toBe(0);
  expect((await trial.cli('show', 'file:/etc/big')).stdout).toMatch(/content: \(9000000 bytes, sha256 [0-9a-f]{12}\)/);
  // A plan of a working directory reads it in another way.
  expect(await trial.cli('plan', '--dir', fixture.work)).toMatchObject({ code: 0 });
});

test('a large file that its validator refuses leaves the old one in place', async () => {
  payload('big', OTHER);
  fixture.commit(manifest('["false", "%s"]'));
  const { code, stdout } = await trial.cli('sync');
  expect([code, stdout]).toEqual([1, expect.stringContaining('does not pass')]);
  expect(text('etc/big') === BIG).toBe(true);
  payload('big', BIG);
  fixture.commit(manifest('["true", "%s"]'));
  expect((await trial.cli('sync')).code).toBe(0);
});

test('a large file is repaired without the server and the object store, also by a daemon that just started', async () => {
  withLog();
  await trial.stop();
  refuses = true;
  fs.rmSync(on('var/lib/fairlead/repo.git'), { recursive: true });
  await trial.start();
  await until('the first run', PATIENCE_MS, async () =>
    /RepositoryUnreachable/.test((await trial.cli('status')).stdout),
  );
  fs.writeFileSync(on('etc/big'), 'mine');
  await until('the repair', PATIENCE_MS, async () => text('etc/big') === BIG);
  // The file is written before the repair is recorded.
  await until('its record', PATIENCE_MS, async () => /drift/.test((await trial.cli('history')).stdout));
});

test('a large file whose stored copy is damaged is not written, and fetched again', async () => {
  withLog();
  refuses = false;
  expect((await trial.cli('sync')).code).toBe(0);
  const kept = on('var/lib/fairlead/accepted');
  const places = fs
    .readdirSync(kept, { recursive: true, encoding: 'utf8' })
    .filter((f) => /large\/[0-9a-f]{64}$/.test(f));
  const place = places.find((f) => fs.statSync(path.join(kept, f)).size === BIG.length) ?? '';
  const handle = fs.openSync(path.join(kept, place), 'r+');
  fs.writeSync(handle, 'damage', 1_000_000);
  fs.closeSync(handle);
  fs.writeFileSync(on('etc/big'), 'mine');
  await until('the failure to be reported', PATIENCE_MS, async () => /PayloadDamaged|fetched again/.test(trial.log()));
  expect(text('etc/big')).toBe('mine');
  await until('the repair', PATIENCE_MS, async () => {
    await trial.cli('sync');
    return text('etc/big') === BIG;
  });
});
