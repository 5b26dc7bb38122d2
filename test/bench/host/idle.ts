/** The memory of the idle daemon with a hundred resources, and the time from its start to its first status. */
import { setTimeout as pause } from 'node:timers/promises';
import { connectAsync } from 'mqtt';
import { fairlead, fairleadJson, installAgent, NODE, statusWhere } from '../../lab/agent.ts';
import { type Lab, type LabHost, startLab } from '../../lab/lab.ts';
import { HEALTH_BY_SECONDS as HEALTH } from '../../lab/story.ts';
import type { BenchRun } from '../report/runner.ts';
import { agentPid, idleCpu, idleSeconds } from './cpu.ts';

const FILES = 80;
const UNITS = 10;
const SERVICES = 10;
const STARTS = { full: 11, quick: 3 };
/** Readings of the memory, some seconds apart, because garbage collection changes it. */
const LOOKS = { full: 5, quick: 2 };
const LOOK_SECONDS = 5;

export async function idleBench(run: BenchRun<'idle'>): Promise<void> {
  const lab = await startLab({ name: 'idle', hosts: [{ name: 'edge-1' }], log: run.log });
  try {
    const host = lab.host('edge-1');
    const repo = await lab.infra.createRepo('fleet');
    await repo.commit(declared(), 'A hundred resources');
    // As installed: it polls the server each minute.
    await installAgent(host, { repoUrl: repo.httpUrl, schedule: '* * * * *' });
    await statusWhere(lab.infra, 'edge-1', 'synced and healthy', (s) => s.sync === 'synced' && s.health === 'healthy');
    run.log(`${FILES} files, ${UNITS} units, ${SERVICES} services`);
    await firstStatus(lab, host, run);
    await idle(host, run);
  } finally {
    await lab.stop();
  }
}

const times = (n: number, make: (i: number) => string) => Array.from({ length: n }, (_, i) => make(i)).join('');

const declared = (): Record<string, string> => ({
  'hosts/edge-1/files.yaml': `files:\n${times(FILES, (i) => `  /srv/idle/f${i}: {content: "file ${i}\\n"}\n`)}`,
  'hosts/edge-1/units.yaml': `units:\n${times(UNITS, (i) => `  idle-${i}.service:\n    content: "[Service]\\nExecStart=/bin/sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n"\n    enabled: true\n    state: started\n`)}`,
  'hosts/edge-1/idle/compose.yaml': `services:\n${times(SERVICES, (i) => `  s${i}:\n    image: infra:5000/app:1\n    ${HEALTH}\n`)}`,
});

/** From the start of the service, once the old one is gone, to the new instance's first status on the broker. */
async function firstStatus(lab: Lab, host: LabHost, { isQuick, record }: BenchRun<'idle'>): Promise<void> {
  const { agent } = await fairleadJson<{ agent: { instance: string } }>(host, 'status');
  const client = await connectAsync(`mqtt://${await lab.infra.address()}:1883`);
  const seen = new Set([agent.instance]);
  let heard: (() => void) | null = null;
  client.on('message', (_topic, payload) => {
    const { instance } = (JSON.parse(payload.toString()) as { agent: { instance: string } }).agent;
    if (seen.has(instance)) return;
    seen.add(instance);
    heard?.();
  });
  await client.subscribeAsync('fairlead/default/hosts/edge-1/status');
  for (let i = 0; i < (isQuick ? STARTS.quick : STARTS.full); i++) {
    await host.exec(['systemctl', 'stop', 'fairlead.service']);
    const first = new Promise<void>((resolve) => {
      heard = resolve;
    });
    const began = performance.now();
    await host.exec(['systemctl', 'start', '--no-block', 'fairlead.service']);
    await first;
    record('start', [performance.now() - began]);
  }
  await client.endAsync();
}

async function idle(host: LabHost, { isQuick, record }: BenchRun<'idle'>): Promise<void> {
  await fairlead(host, 'sync');
  await host.sh(`nohup ${NODE} -e 'setInterval(() => 0, 1e9)' >/dev/null 2>&1 & echo $! > /root/bare.pid`);
  const pids = { fairlead: await agentPid(host), node: (await host.exec(['cat', '/root/bare.pid'])).stdout.trim() };
  record('cpu', await idleCpu(host, idleSeconds(isQuick)));
  for (let look = 0; look < (isQuick ? LOOKS.quick : LOOKS.full); look++) {
    if (look > 0) await pause(LOOK_SECONDS * 1_000);
    for (const whose of ['fairlead', 'node'] as const) {
      const { stdout } = await host.exec(['cat', `/proc/${pids[whose]}/smaps_rollup`]);
      record(`resident.${whose}`, [megabytes(stdout, 'Rss')]);
      record(`anonymous.${whose}`, [megabytes(stdout, 'Anonymous')]);
    }
  }
}

/** One line of proc_pid_smaps_rollup(5), which counts in KiB. */
const megabytes = (rollup: string, key: string): number =>
  Number(new RegExp(`^${key}: +(\\d+)`, 'm').exec(rollup)?.[1]) / 1_024;
