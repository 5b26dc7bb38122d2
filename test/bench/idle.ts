/** What the daemon weighs while nothing happens, with a hundred resources; and how soon a started one speaks. */
import { connectAsync } from 'mqtt';
import { fairlead, fairleadJson, installAgent, NODE, statusWhere } from '../lab/agent.ts';
import { type Lab, type LabHost, startLab } from '../lab/lab.ts';
import { HEALTH_BY_SECONDS as HEALTH } from '../lab/story.ts';
import { agentPid, IDLE_SECONDS, idleCpu } from './cpu.ts';
import { median, print, type Row } from './table.ts';

const FILES = 80;
const UNITS = 10;
const SERVICES = 10;
const STARTS = 7;

export async function idleBench(): Promise<void> {
  const lab = await startLab({ name: 'idle', hosts: [{ name: 'edge-1' }], log: (line) => console.log(`   ${line}`) });
  try {
    const host = lab.host('edge-1');
    const repo = await lab.infra.createRepo('fleet');
    await repo.commit(declared(), 'A hundred resources');
    // As installed: it asks the server each minute.
    await installAgent(host, { repoUrl: repo.httpUrl, schedule: '* * * * *' });
    await statusWhere(lab.infra, 'edge-1', 'synced and healthy', (s) => s.sync === 'synced' && s.health === 'healthy');
    console.log(`   ${FILES} files, ${UNITS} units, ${SERVICES} services`);
    print([await firstStatus(lab, host), ...(await idle(host))]);
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
async function firstStatus(lab: Lab, host: LabHost): Promise<Row> {
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
  const took: number[] = [];
  for (let i = 0; i < STARTS; i++) {
    await host.exec(['systemctl', 'stop', 'fairlead.service']);
    const first = new Promise<void>((resolve) => {
      heard = resolve;
    });
    const began = performance.now();
    await host.exec(['systemctl', 'start', '--no-block', 'fairlead.service']);
    await first;
    took.push(performance.now() - began);
  }
  await client.endAsync();
  return { what: 'start to first status', value: median(took), unit: 'ms' };
}

async function idle(host: LabHost): Promise<Row[]> {
  await fairlead(host, 'sync');
  await host.sh(`nohup ${NODE} -e 'setInterval(() => 0, 1e9)' >/dev/null 2>&1 & echo $! > /root/bare.pid`);
  const text = async (...argv: string[]) => (await host.exec(argv)).stdout.trim();
  const agent = await agentPid(host);
  const bare = await text('cat', '/root/bare.pid');
  const memory = async (pid: string, key: string) =>
    Number(new RegExp(`^${key}: +(\\d+)`, 'm').exec(await text('cat', `/proc/${pid}/smaps_rollup`))?.[1]) / 1024;
  const cpu = await idleCpu(host);
  const row = async (what: string, key: string): Promise<Row> => ({
    what,
    value: await memory(agent, key),
    unit: 'MB',
    against: { name: 'bare node', value: await memory(bare, key) },
  });
  return [
    await row('idle memory, resident', 'Rss'),
    await row('idle memory, anonymous', 'Anonymous'),
    { what: `idle CPU, of one core, over ${IDLE_SECONDS} s`, value: cpu, unit: '%' },
  ];
}
