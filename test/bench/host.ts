/** Files and units on one host: first convergence, no-op, one change; beside a script, CFEngine and Puppet on the same host, and the floors. */

import { createSystemd } from '../../agent/system/systemd.ts';
import { fairleadJson, installAgent, statusWhere } from '../lab/agent.ts';
import { type Lab, type LabHost, startLab } from '../lab/lab.ts';
import { PEERS, type Peer, type PeerLoad } from './peers.ts';
import { median, print, type Row } from './table.ts';

export interface HostBenchOptions {
  /** Numbers of files and of units to try. */
  files: readonly number[];
  units: readonly number[];
  /** Runs of each no-op and change; slow peers get fewer. */
  repeat: number;
}

/** A few minutes; `FULL` takes a quarter of an hour. */
const SHORT: HostBenchOptions = { files: [10, 1000], units: [1, 50], repeat: 5 };
const FULL: HostBenchOptions = { files: [10, 100, 1000], units: [1, 10, 50], repeat: 9 };
const NODE = '/usr/lib/fairlead/node';
const ANCHOR = { 'hosts/edge-1/a.yaml': 'files: {/srv/anchor: {content: x}}\n' };

interface Figures {
  first: number;
  quiet: number;
  change: number;
}

interface Bench {
  lab: Lab;
  host: LabHost;
  options: HostBenchOptions;
}

export async function hostBench(options = process.env.FAIRLEAD_BENCH_FULL ? FULL : SHORT): Promise<void> {
  const log = (line: string) => console.log(`   ${line}`);
  const lab = await startLab({ name: 'bench-host', hosts: [{ name: 'edge-1' }], log });
  try {
    const host = lab.host('edge-1');
    const bench: Bench = { lab, host, options };
    await prepare(bench, log);
    for (const n of options.files) print(await compare(bench, 'files', n, log));
    for (const n of options.units) print(await compare(bench, 'units', n, log));
  } finally {
    await lab.stop();
  }
}

async function prepare({ lab, host }: Bench, log: (line: string) => void): Promise<void> {
  const [fleet, peers] = [await lab.infra.createRepo('fleet'), await lab.infra.createRepo('peers')];
  await commitAll(lab, 'fleet', ANCHOR);
  await installAgent(host, { repoUrl: fleet.httpUrl });
  await statusWhere(lab.infra, 'edge-1', 'synced', (s) => s.sync === 'synced');
  const packages = PEERS.flatMap((p) => p.packages);
  log(`installing ${packages.join(', ')}`);
  const env = ['env', 'DEBIAN_FRONTEND=noninteractive'];
  await host.exec(['apt-get', 'update'], { timeoutMs: 300_000 });
  await host.exec([...env, 'apt-get', 'install', '-y', '--no-install-recommends', ...packages], { timeoutMs: 600_000 });
  // Their own daemons have no part in this.
  await host.sh('systemctl disable --now cfengine3.service puppet.service 2>/dev/null || true');
  await commitAll(lab, 'peers', { README: 'peers\n' });
  await host.exec(['git', 'clone', '-q', peers.httpUrl, '/srv/peers']);
  await host.write('/root/time.cjs', TIME);
  await host.write('/root/sync.cjs', SYNC);
}

/** A commit of exactly these files on main, whatever their number: git-fast-import(1). */
async function commitAll(lab: Lab, repo: string, files: Record<string, string>): Promise<void> {
  const at = Math.floor(Date.now() / 1000);
  const blobs = Object.entries(files).map(
    ([name, text]) => `M 100644 inline ${name}\ndata ${Buffer.byteLength(text)}\n${text}\n`,
  );
  const git = ['git', `--git-dir=/srv/git/${repo}.git`];
  const known = (await lab.infra.exec([...git, 'rev-parse', '-q', '--verify', 'main'], { check: false })).stdout.trim();
  const input = `commit refs/heads/main\ncommitter Bench <bench@example.com> ${at} +0000\ndata 5\nBench\n${known ? `from ${known}\n` : ''}deleteall\n${blobs.join('')}\n`;
  await lab.infra.exec([...git, 'fast-import', '--quiet', '--force'], { input });
}

const fileText = (i: number, word: string) => `file ${i} ${word}\n`.repeat(20);
// systemd refuses a sixth start within ten seconds, which a bench needs and a fleet does not.
const unitText = (word: string) =>
  `[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sleep infinity\nEnvironment=WORD=${word}\n[Install]\nWantedBy=multi-user.target\n`;

/** Name below the payload's directory → content. */
function payloadOf(kind: PeerLoad['kind'], n: number, tool: string, word: string): Record<string, string> {
  const names = Array.from({ length: n }, (_, i) =>
    kind === 'files' ? `d${i % 10}/f${i}` : `bench-${tool}-${n}-${i}.service`,
  );
  // The first alone changes.
  return Object.fromEntries(
    names.map((name, i) => [name, kind === 'files' ? fileText(i, i === 0 ? word : '') : unitText(i === 0 ? word : '')]),
  );
}

async function compare(bench: Bench, kind: PeerLoad['kind'], n: number, log: (line: string) => void): Promise<Row[]> {
  log(`${n} ${kind}: fairlead`);
  const ours = await fairleadFigures(bench, kind, n);
  const floor = kind === 'files' ? await hashFloor(bench, n) : await listFloor(bench, n);
  await clear(bench, kind, 'fairlead');
  const rows: Row[] = [];
  const add = (name: string, figures: Figures) => {
    for (const phase of ['first', 'quiet', 'change'] as const) {
      const what = { first: 'first convergence', quiet: 'no-op', change: `one changed of ${n}` }[phase];
      rows.push({
        what: `${n} ${kind}, ${what}`,
        value: ours[phase],
        unit: 'ms',
        against: { name, value: figures[phase] },
      });
    }
  };
  for (const peer of PEERS) {
    log(`${n} ${kind}: ${peer.name}`);
    add(peer.name, await peerFigures(bench, peer, kind, n));
    await clear(bench, kind, peer.name);
  }
  rows.push({ what: `${n} ${kind}, no-op`, value: ours.quiet, unit: 'ms', against: floor });
  return rows;
}

/** From the request to the end of the run, settling included, by the daemon that a push or a schedule would wake. */
async function fairleadFigures({ lab, host, options }: Bench, kind: PeerLoad['kind'], n: number): Promise<Figures> {
  const base = 'hosts/edge-1';
  const manifest = (names: string[]) =>
    kind === 'files'
      ? `files: {/srv/bench/fairlead-${n}: {source: payload}}\n`
      : `units:\n${names.map((name) => `  ${name}: {source: payload/${name}, enabled: true, state: started}\n`).join('')}`;
  const commit = (word: string) => {
    const payload = payloadOf(kind, n, 'fairlead', word);
    const files = Object.entries(payload).map(([name, text]) => [`${base}/payload/${name}`, text]);
    const all = { ...ANCHOR, [`${base}/b.yaml`]: manifest(Object.keys(payload)), ...Object.fromEntries(files) };
    return commitAll(lab, 'fleet', all);
  };
  const sync = async (): Promise<number> => {
    const {
      ms,
      sync: state,
      message,
    } = JSON.parse((await host.exec([NODE, '/root/sync.cjs'], { timeoutMs: 300_000 })).stdout) as {
      ms: number;
      sync: string;
      message: string;
    };
    if (state !== 'synced') throw new Error(`the run ended ${state}: ${message}`);
    return ms;
  };
  await commit('one');
  const first = await sync();
  // What was just written is not told from what is being written: a host at rest is one that has rested.
  await host.exec(['sleep', '3']);
  await sync();
  const quiet = await times(options.repeat, sync);
  const change = await times(options.repeat, async (i) => {
    await commit(`change-${i}`);
    return sync();
  });
  await commitAll(lab, 'fleet', ANCHOR);
  await fairleadJson(host, 'sync', '--allow-prune');
  return { first, quiet: median(quiet), change: median(change) };
}

async function peerFigures(
  { lab, host, options }: Bench,
  peer: Peer,
  kind: PeerLoad['kind'],
  n: number,
): Promise<Figures> {
  const dir = `${peer.name}-${kind}-${n}`;
  const units = kind === 'units' ? Object.keys(payloadOf(kind, n, peer.name, '')) : [];
  const load: PeerLoad = { kind, dir, target: `/srv/bench/${dir}`, units };
  const commit = (word: string) => {
    const files = Object.entries(payloadOf(kind, n, peer.name, word)).map(([name, text]) => [`${dir}/${name}`, text]);
    return commitAll(lab, 'peers', Object.fromEntries(files));
  };
  const timed = async (more: string[] = []): Promise<number> =>
    Number((await host.exec([NODE, '/root/time.cjs', ...peer.argv(load), ...more], { timeoutMs: 600_000 })).stdout);
  await host.sh('mkdir -p /srv/bench');
  for (const [name, text] of Object.entries(peer.policy(load))) await host.write(`/srv/policy/${dir}/${name}`, text);
  await commit('one');
  const first = await timed();
  const repeat = first > 3_000 ? 1 : options.repeat;
  const quiet = await times(repeat, () => timed(['quiet']));
  const change = await times(repeat, async (i) => {
    await commit(`change-${i}`);
    return timed();
  });
  return { first, quiet: median(quiet), change: median(change) };
}

/** So that one tool's units do not weigh on the next one's figures. */
async function clear({ host }: Bench, kind: PeerLoad['kind'], tool: string): Promise<void> {
  if (kind === 'files') await host.sh('rm -rf /srv/bench');
  else
    await host.sh(
      `cd /etc/systemd/system; units=$(ls | grep "^bench-${tool}-.*service$" || true); [ -z "$units" ] || { systemctl disable -q --now $units; rm -f $units; systemctl daemon-reload; systemctl reset-failed; }`,
      { timeoutMs: 300_000 },
    );
}

async function times(n: number, run: (i: number) => Promise<number>): Promise<number[]> {
  const all: number[] = [];
  for (let i = 0; i < n; i++) all.push(await run(i));
  return all;
}

/** Hashing the very files, within one process. */
async function hashFloor({ host, options }: Bench, n: number): Promise<{ name: string; value: number }> {
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
  const script = `const {createHash}=require('crypto'),fs=require('fs');const names=${JSON.stringify(payload.map(([name]) => name))};const t=[];for(let i=0;i<${options.repeat + 4};i++){const b=process.hrtime.bigint();for(const n of names)createHash('sha256').update(fs.readFileSync('/srv/bench/floor/'+n)).digest('hex');t.push(Number(process.hrtime.bigint()-b)/1e6)}console.log(t.sort((a,b)=>a-b)[${Math.floor((options.repeat + 4) / 2)}])`;
  return { name: 'floor: hash them', value: Number((await host.exec([NODE, '-e', script])).stdout) };
}

/** One ListUnitsByNames of as many units, over a connection that is open. */
async function listFloor({ host, options }: Bench, n: number): Promise<{ name: string; value: number }> {
  const systemd = createSystemd({ socket: `/proc/${await host.pid()}/root/run/dbus/system_bus_socket` });
  const names = Array.from({ length: n }, (_, i) => `bench-floor-${i}.service`);
  try {
    await systemd.list(names);
    const all = await times(options.repeat + 4, async () => {
      const began = performance.now();
      await systemd.list(names);
      return performance.now() - began;
    });
    return { name: 'floor: list them', value: median(all) };
  } finally {
    systemd.close();
  }
}

/** Runs its arguments and prints the milliseconds that took. */
const TIME = `const { spawnSync } = require('child_process');
const [file, ...args] = process.argv.slice(2);
const began = process.hrtime.bigint();
const { status, stderr, stdout } = spawnSync(file, args, { encoding: 'utf8' });
const ms = Number(process.hrtime.bigint() - began) / 1e6;
if (status !== 0) { console.error(stdout + stderr); process.exit(1); }
console.log(ms);
`;

/** Asks the daemon for a sync, and prints how long it took until the run had ended, and how it ended. */
const SYNC = `const http = require('http');
const began = process.hrtime.bigint();
const request = http.request({ socketPath: '/run/fairlead/agent.sock', method: 'POST', path: '/v1/sync' }, (response) => {
  let all = '';
  response.setEncoding('utf8').on('data', (chunk) => { all += chunk; }).on('end', () => {
    const ms = Number(process.hrtime.bigint() - began) / 1e6;
    const { run } = JSON.parse(all.trim().split('\\n').at(-1));
    console.log(JSON.stringify({ ms, sync: run.sync, message: run.message }));
  });
});
request.end('{}');
`;
