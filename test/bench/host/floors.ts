/** The least time to check whether everything is in place: no tool can be faster. */
import { createSystemd } from '../../../agent/system/systemd/systemd.ts';
import { NODE } from '../../lab/agent.ts';
import { median } from '../report/figure.ts';
import { payloadOf, type Stage, times } from './host-tools.ts';

/** The least time for a check, in milliseconds. */
export interface Floor {
  name: string;
  value: number;
}

/** Hashing the same files, within one process. */
export async function hashFloor({ host }: Stage, n: number, repeat: number): Promise<Floor> {
  const payload = Object.entries(payloadOf('files', n, '', ''));
  await host.sh(`mkdir -p /srv/bench/floor; cd /srv/bench/floor; for d in 0 1 2 3 4 5 6 7 8 9; do mkdir -p d$d; done`);
  await host.exec(
    [
      NODE,
      '-e',
      `const fs=require('fs');for(const [n,t] of JSON.parse(fs.readFileSync(0)))fs.writeFileSync('/srv/bench/floor/'+n,t)`,
    ],
    {
      input: JSON.stringify(payload),
    },
  );
  const script = `const {createHash}=require('crypto'),fs=require('fs');const names=${JSON.stringify(payload.map(([name]) => name))};const t=[];for(let i=0;i<${repeat + 4};i++){const b=process.hrtime.bigint();for(const n of names)createHash('sha256').update(fs.readFileSync('/srv/bench/floor/'+n)).digest('hex');t.push(Number(process.hrtime.bigint()-b)/1e6)}console.log(t.sort((a,b)=>a-b)[${Math.floor((repeat + 4) / 2)}])`;
  return { name: 'hash the files', value: Number((await host.exec([NODE, '-e', script])).stdout) };
}

/** One ListUnitsByNames of as many units, over an open connection. */
export async function listFloor({ host }: Stage, n: number, repeat: number): Promise<Floor> {
  const systemd = createSystemd({ socket: `/proc/${await host.pid()}/root/run/dbus/system_bus_socket` });
  const names = Array.from({ length: n }, (_, i) => `bench-floor-${i}.service`);
  try {
    await systemd.list(names);
    const all = await times(repeat + 4, async () => {
      const began = performance.now();
      await systemd.list(names);
      return performance.now() - began;
    });
    return { name: 'list the units', value: median(all) };
  } finally {
    systemd.close();
  }
}

/** Inspecting containers one by one, over an open connection to the Docker engine. */
export async function inspectFloor({ host }: Stage, names: readonly string[], repeat: number): Promise<Floor> {
  const script = `const http=require('http');const agent=new http.Agent({keepAlive:true,maxSockets:1});const get=(name)=>new Promise((done)=>http.get({agent,socketPath:'/var/run/docker.sock',path:'/containers/'+name+'/json'},(r)=>{let all='';r.on('data',(c)=>{all+=c});r.on('end',()=>done(JSON.parse(all)))}));(async()=>{const t=[];for(let i=0;i<${repeat + 4};i++){const b=process.hrtime.bigint();for(const n of ${JSON.stringify(names)})await get(n);t.push(Number(process.hrtime.bigint()-b)/1e6)}console.log(t.sort((a,b)=>a-b)[${Math.floor((repeat + 4) / 2)}]);agent.destroy()})()`;
  return { name: 'inspect the containers', value: Number((await host.exec([NODE, '-e', script])).stdout) };
}
