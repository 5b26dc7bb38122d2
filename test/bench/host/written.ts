/** Bytes that the agent writes, as the disk below a journaled ext4 counts them: flash memory wears out by writes. */
import { setTimeout as pause } from 'node:timers/promises';
import { installAgent, statusWhere } from '../../lab/agent.ts';
import { apiOf } from '../../lab/api.ts';
import { createCutHost } from '../../lab/cut-host.ts';
import { startLab, until } from '../../lab/lab.ts';
import { hostFiles } from '../../lab/story.ts';
import type { BenchRun } from '../report/runner.ts';
import { idleSeconds } from './cpu.ts';

const KB = 1024;
const DAY_S = 24 * 60 * 60;
const HOURS = 24;
const ROUNDS = 3;
const WAIT_MS = 300_000;
const FILE = '/srv/app.conf';
const declares = (word: string) => `files: {${FILE}: {content: "${word}\\n"}}\n`;

export async function writtenBench({ isQuick, log, record }: BenchRun<'written'>): Promise<void> {
  const lab = await startLab({
    name: 'written',
    hosts: [{ name: 'edge-1' }],
    log,
  });
  const host = lab.host('edge-1');
  const disk = createCutHost(host, 'defaults');
  try {
    await disk.begin();
    const api = apiOf(host);
    const repo = await lab.infra.createRepo('fleet');
    const well = (commit: string) =>
      statusWhere(
        lab.infra,
        'edge-1',
        'synced and healthy',
        (s) => s.sync === 'synced' && s.health === 'healthy' && s.applied?.commit === commit,
        WAIT_MS,
      );
    const first = await repo.commit({ ...hostFiles('edge-1'), 'hosts/edge-1/more.yaml': declares('one') }, 'A host');
    // As installed: it polls the server each minute.
    await installAgent(host, { repoUrl: repo.httpUrl, schedule: '* * * * *' });
    await well(first);
    await api.sync();
    let word = 'one';
    let noop = 0;
    for (let round = 0; round < (isQuick ? 1 : ROUNDS); round++) {
      noop = await disk.written(() => api.sync());
      record('noop', [noop / KB]);
      const repair = await disk.written(async () => {
        await host.write(FILE, 'tampered\n');
        await until('the repair', WAIT_MS, async () => (await host.exec(['cat', FILE])).stdout === `${word}\n`);
        // The run is over when history has it, and recording it is a write, too.
        await api.sync();
      });
      record('repair', [repair / KB]);
      word = `word ${round}`;
      const change = await disk.written(async () => {
        const commit = await repo.commit({ 'hosts/edge-1/more.yaml': declares(word) }, 'A file');
        await api.sync();
        await well(commit);
      });
      record('commit', [change / KB]);
    }
    const seconds = idleSeconds(isQuick);
    log(`an idle day: extrapolated from ${seconds} s, and ${HOURS} runs that are written down`);
    const aDay = async () => ((await disk.written(() => pause(seconds * 1_000))) / seconds) * DAY_S;
    // Of equal runs, the first and the second are written, and then one an hour.
    if (!isQuick) await pause(3 * 60_000);
    record('day.fairlead', [((await aDay()) + HOURS * noop) / KB]);
    await host.exec(['systemctl', 'stop', 'fairlead.service']);
    record('day.host-without-it', [(await aDay()) / KB]);
  } finally {
    await disk.remove();
    await lab.stop();
  }
}
