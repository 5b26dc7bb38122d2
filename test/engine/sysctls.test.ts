/** Kernel settings in a run with --root: the file is written below it, and this machine's kernel is not changed. */
import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { PlanDocument, ShowDocument } from '../../manifests-schema/documents.ts';
import { startTrial, type Trial } from './trial.ts';

let trial: Trial;
const SETTING = '/proc/sys/net/ipv4/tcp_keepalive_time';
const before = fs.readFileSync(SETTING, 'utf8');
const other = String(Number(before) + 1);
const MANIFEST = 'hosts/trial/a.yaml';
const ANCHOR = 'files: {/etc/motd: {content: x}}\n';
const file = () => path.join(trial.root, 'etc/sysctl.d/zz-fairlead.conf');
const lines = () => fs.readFileSync(file(), 'utf8').replace(/^#.*\n/gm, '');

beforeAll(async () => {
  trial = await startTrial();
  await trial.commit({ [MANIFEST]: ANCHOR }, 'Set up');
  await trial.start();
  expect((await trial.cli('sync')).code).toBe(0);
  const settings = `sysctls: {net.ipv4.tcp_keepalive_time: "${other}"}\n`;
  await trial.commit({ [MANIFEST]: `${ANCHOR}${settings}`.replace('content: x', 'content: y') }, 'Set it');
});
afterAll(async () => trial.end());

test('plan lists a setting first, with the value for the next boot only', async () => {
  const { actions } = JSON.parse((await trial.cli('plan', '--json')).stdout) as PlanDocument;
  expect(actions[0]).toMatchObject({
    id: 'sysctl:net.ipv4.tcp_keepalive_time',
    op: 'create',
    why: [{ field: 'at boot', to: other }],
  });
});

test('a sync writes the file below the root, and not the kernel', async () => {
  const { code, stderr } = await trial.cli('sync');
  expect(code, stderr).toBe(0);
  expect(lines()).toBe(`net.ipv4.tcp_keepalive_time = ${other}\n`);
  expect(fs.readFileSync(SETTING, 'utf8')).toBe(before);
  expect((await trial.cli('plan')).code).toBe(0);
});

test('show prints the declared and the actual value', async () => {
  const { stdout } = await trial.cli('show', 'tcp_keepalive_time', '--json');
  const { desired, actual, status } = JSON.parse(stdout) as ShowDocument;
  expect(desired).toEqual({ name: 'net.ipv4.tcp_keepalive_time', value: other });
  expect(actual).toEqual({ value: null, kept: other });
  expect(status).toMatchObject({ sync: 'synced', health: 'healthy' });
});

test('the file is removed with its last setting', async () => {
  await trial.commit({ [MANIFEST]: ANCHOR }, 'Take it out');
  expect((await trial.cli('sync')).code).toBe(0);
  expect(fs.existsSync(file())).toBe(false);
  expect(fs.readFileSync(SETTING, 'utf8')).toBe(before);
});
