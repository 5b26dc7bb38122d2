/** `pause` of single resources on the command line, with a command for as long as it runs. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { statusDocument } from '../../manifests-schema/payloads.ts';
import { startTrial, type Trial } from './trial.ts';

let trial: Trial;
beforeAll(async () => {
  trial = await startTrial();
  await trial.commit({ 'hosts/trial/a.yaml': 'files: {/srv/x: {content: "x"}}\n' }, 'One file');
  await trial.start();
  await trial.cli('sync');
});
afterAll(() => trial.end());

const status = async () => statusDocument.parse(JSON.parse((await trial.cli('status', '--json')).stdout));

test('paused resources are held until resume, and shown', async () => {
  expect((await trial.cli('pause', 'file:/srv/x', '--reason', 'moving')).code).toBe(0);
  expect((await status()).paused).toMatchObject([{ id: 'file:/srv/x', reason: 'moving', until: null }]);
  expect((await trial.cli('status')).stdout).toMatch(
    /paused {3}file:\/srv\/x: moving, until `fairlead resume file:\/srv\/x`/,
  );
  expect((await trial.cli('resume', 'file:/srv/x')).code).toBe(0);
  expect((await status()).paused).toBeUndefined();
});

test('paused resources are held for as long as a command runs, whose exit code is that of the pause', async () => {
  const self = [process.execPath, trial.main, '--root', trial.root];
  const during = await trial.cli('pause', 'file:/srv/x', '--', ...self, 'status', '--json');
  expect(statusDocument.parse(JSON.parse(during.stdout)).paused).toMatchObject([{ id: 'file:/srv/x' }]);
  expect((await status()).paused).toBeUndefined();
  expect((await trial.cli('pause', 'file:/srv/x', '--', 'sh', '-c', 'exit 3')).code).toBe(3);
  expect((await status()).paused).toBeUndefined();
});

test('an unknown resource cannot be paused, and the nearest one is named', async () => {
  const out = await trial.cli('pause', 'file:/srv/y');
  expect(out.code).toBe(1);
  expect(out.stderr).toMatch(/no resource of this host is `file:\/srv\/y`; did you mean file:\/srv\/x\?/);
});
