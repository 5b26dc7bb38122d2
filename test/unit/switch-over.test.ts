/** One version of the agent replaces another only between two runs. */
import { expect, test } from 'vitest';
import { createSwitchOver } from '../../agent/daemon/session/switch-over.ts';
import { silentLog } from '../../agent/log.ts';
import type { Upgrader } from '../../agent/upgrade/upgrader.ts';

function worldWith(pending: boolean) {
  const told: string[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const order = { version: '0.2.0', from: '0.1.0', since: '', until: '' };
  const upgrade = {
    pending: () => (pending ? order : null),
    begin: () => promise,
    resume: () => promise,
  } as Partial<Upgrader> as Upgrader;
  const loop = {
    hold: (until: Promise<void>) => {
      told.push('held');
      void until.then(() => told.push('released'));
    },
    request: async () => void told.push('another run'),
  };
  return { told, resolve, reject, switchOver: createSwitchOver({ upgrade, loop, log: silentLog }) };
}
const turn = () => new Promise((resolve) => setImmediate(resolve));

test('no run begins while another version is installed, and one does if the installation failed', async () => {
  const { told, resolve, switchOver } = worldWith(true);
  switchOver.ordered();
  await turn();
  expect(told).toEqual(['held']);
  resolve();
  await turn();
  expect(told).toEqual(['held', 'released', 'another run']);
});

test('an agent that is stopped meanwhile begins no run', async () => {
  const { told, resolve, switchOver } = worldWith(true);
  switchOver.ordered();
  switchOver.stop();
  resolve();
  await turn();
  expect(told).toEqual(['held', 'released']);
});

test('a start resumes an interrupted order before its first run', async () => {
  const { told, reject, switchOver } = worldWith(true);
  switchOver.start();
  expect(told).toEqual(['held']);
  reject(new Error('systemd is away'));
  await turn();
  expect(told).toEqual(['held', 'released']);
});

test('without an order nothing is held', () => {
  const { told, switchOver } = worldWith(false);
  switchOver.start();
  switchOver.ordered();
  expect(told).toEqual([]);
});
