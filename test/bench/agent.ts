/** The agent on one lab host: first convergence and no-op, beside the floors; a push notice → done. */
import { fairleadJson, installAgent, NODE, statusWhere } from '../lab/agent.ts';
import { type FleetRepo, type LabHost, startLab } from '../lab/lab.ts';
import { HEALTH_BY_SECONDS as HEALTH } from '../lab/story.ts';
import { lastAction, sync } from './feed.ts';
import { pushRows } from './push.ts';
import { median, print, type Row } from './table.ts';

const FILES = 1000;
const UNITS = 50;
const SERVICES = 10;
const REPEAT = 9;

export async function agentBench(): Promise<void> {
  const lab = await startLab({ name: 'bench', hosts: [{ name: 'edge-1' }], log: (line) => console.log(`   ${line}`) });
  try {
    const host = lab.host('edge-1');
    const repo = await lab.infra.createRepo('fleet');
    await repo.commit({ 'hosts/edge-1/a.yaml': 'files: {/etc/bench/x: {content: x}}\n' }, 'Begin');
    await installAgent(host, { repoUrl: repo.httpUrl });
    await statusWhere(lab.infra, 'edge-1', 'synced', (s) => s.sync === 'synced');
    const rows: Row[] = [];
    for (const load of [files(), units(), services()]) rows.push(...(await converge(host, repo, load)));
    await statusWhere(lab.infra, 'edge-1', 'synced and healthy', (s) => s.sync === 'synced' && s.health === 'healthy');
    rows.push(...(await pushRows({ lab, host, repo }, compose)));
    console.log(`   ${FILES} files, ${UNITS} units and ${SERVICES} services were under management at the end`);
    print(rows);
  } finally {
    await lab.stop();
  }
}

interface Load {
  name: string;
  files: Record<string, string>;
  floor: { name: string; script: string };
}

const files = (): Load => ({
  name: `${FILES} files`,
  files: {
    'hosts/edge-1/files.yaml': 'files: {/srv/bench: {source: tree}}\n',
    ...Object.fromEntries(
      Array.from({ length: FILES }, (_, i) => [`hosts/edge-1/tree/d${i % 10}/f${i}`, `file ${i}\n`.repeat(20)]),
    ),
  },
  floor: {
    name: 'hash them',
    script: `const {createHash}=require('crypto'),fs=require('fs');for(let d=0;d<10;d++)for(const f of fs.readdirSync('/srv/bench/d'+d))createHash('sha256').update(fs.readFileSync('/srv/bench/d'+d+'/'+f)).digest('hex')`,
  },
});
const units = (): Load => ({
  name: `${UNITS} units`,
  files: {
    'hosts/edge-1/units.yaml': `units:\n${Array.from({ length: UNITS }, (_, i) => `  bench-${i}.service:\n    content: "[Service]\\nExecStart=/bin/sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n"\n    enabled: true\n    state: started\n`).join('')}`,
  },
  floor: {
    name: 'systemctl list',
    script: `require('child_process').execFileSync('systemctl',['list-units','--no-legend','bench-*'])`,
  },
});
/** @param third image of the service whose image changes */
const compose = (third: string): string =>
  `services:\n${Array.from({ length: SERVICES }, (_, i) => `  s${i}:\n    image: infra:5000/${i === 3 ? third : 'app:1'}\n    ${HEALTH}\n`).join('')}`;
const services = (): Load => ({
  name: `${SERVICES} services`,
  files: { 'hosts/edge-1/bench/compose.yaml': compose('app:1') },
  floor: {
    name: 'inspect them',
    script: `const http=require('http');const get=p=>new Promise(r=>http.get({socketPath:'/run/docker.sock',path:p},s=>{let t='';s.on('data',c=>t+=c).on('end',()=>r(JSON.parse(t)))}));await Promise.all((await get('/containers/json')).map(c=>get('/containers/'+c.Id+'/json')))`,
  },
});

/** First convergence to the last action, then no-op runs, then the floor, measured inside one node process. */
async function converge(host: LabHost, repo: FleetRepo, load: Load): Promise<Row[]> {
  await repo.commit(load.files, load.name);
  const first = lastAction(await sync(host));
  const quiet: number[] = [];
  for (let i = 0; i < REPEAT; i++)
    quiet.push((await fairleadJson<{ run: { durationMs: number } }>(host, 'sync')).run.durationMs);
  const timed = `(async()=>{const t=[];for(let i=0;i<${REPEAT};i++){const b=process.hrtime.bigint();${load.floor.script};t.push(Number(process.hrtime.bigint()-b)/1e6)}console.log(t.sort((a,b)=>a-b)[${Math.floor(REPEAT / 2)}])})()`;
  const floor = Number((await host.exec([NODE, '-e', timed])).stdout);
  return [
    { what: `first convergence, ${load.name}`, value: first, unit: 'ms' },
    {
      what: `no-op, all so far and ${load.name}`,
      value: median(quiet),
      unit: 'ms',
      against: { name: load.floor.name, value: floor },
    },
  ];
}
