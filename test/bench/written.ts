/** Bytes that the agent writes, as the disk below a journaled ext4 counts them: flash memory wears out by them. */
import { setTimeout as pause } from 'node:timers/promises';
import { installAgent, statusWhere } from '../lab/agent.ts';
import { apiOf } from '../lab/api.ts';
import { createCutHost } from '../lab/cut-host.ts';
import { startLab, until } from '../lab/lab.ts';
import { hostFiles } from '../lab/story.ts';
import { IDLE_SECONDS } from './cpu.ts';
import { print } from './table.ts';

const KB = 1024;
const DAY_S = 24 * 60 * 60;
const HOURS = 24;
const WAIT_MS = 300_000;
const FILE = '/srv/app.conf';
const declares = (word: string) => `files: {${FILE}: {content: "${word}\\n"}}\n`;

export async function writtenBench(): Promise<void> {
  const lab = await startLab({
    name: 'written',
    hosts: [{ name: 'edge-1' }],
    log: (line) => console.log(`   ${line}`),
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
    // As installed: it asks the server each minute.
    await installAgent(host, { repoUrl: repo.httpUrl, schedule: '* * * * *' });
    await well(first);
    await api.sync();
    const noop = await disk.written(() => api.sync());
    const repair = await disk.written(async () => {
      await host.write(FILE, 'tampered\n');
      await until('the repair', WAIT_MS, async () => (await host.exec(['cat', FILE])).stdout === 'one\n');
      // It is over when history has it, and that is a write, too.
      await api.sync();
    });
    const change = await disk.written(async () => {
      const second = await repo.commit({ 'hosts/edge-1/more.yaml': declares('two') }, 'A file');
      await api.sync();
      await well(second);
    });
    const window = () => pause(IDLE_SECONDS * 1000);
    const aDay = async () => ((await disk.written(window)) / IDLE_SECONDS) * DAY_S;
    // Of runs that find the same, the first and the second are written, and then one an hour.
    await pause(3 * 60_000);
    const day = (await aDay()) + HOURS * noop;
    await host.exec(['systemctl', 'stop', 'fairlead.service']);
    const without = await aDay();
    print([
      { what: 'a run that changes nothing', value: noop / KB, unit: 'KB' },
      { what: 'the repair of one file', value: repair / KB, unit: 'KB' },
      { what: 'a commit that changes one file', value: change / KB, unit: 'KB' },
      {
        what: `an idle day, from ${IDLE_SECONDS} s`,
        value: day / KB,
        unit: 'KB',
        against: { name: 'without the agent', value: without / KB },
      },
    ]);
  } finally {
    await disk.remove();
    await lab.stop();
  }
}
