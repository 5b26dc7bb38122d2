/** Shared by the benches of a whole host: a host with all tools on it, the resources to install, and the floors. */
import { rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { installAgent, NODE, statusWhere } from '../../lab/agent.ts';
import { LAB_DIR } from '../../lab/engine.ts';
import type { Lab, LabHost } from '../../lab/lab.ts';
import { run } from '../../lab/run.ts';
import type { ChosenPeers, Peer, PeerLoad, PeerName } from './peers.ts';

export interface Stage {
  lab: Lab;
  host: LabHost;
}

/** What fairlead's repository always declares: a host that declares nothing removes nothing. */
export const ANCHOR = { 'hosts/edge-1/a.yaml': 'files: {/srv/anchor: {content: x}}\n' };

/**
 * A journaled file system for everything that the tools write, as a host has one: this machine's may have no journal, and ext4
 * without one checks each recently freed inode whenever it needs a new one. A tool that runs after somebody's clean-up would wait
 * ten times as long for each file.
 * @returns a function that removes it, once the host is gone
 */
export async function mountDisk(host: LabHost): Promise<() => Promise<void>> {
  const image = path.join(LAB_DIR, `bench-disk-${process.pid}.img`);
  await run(['truncate', '-s', '1G', image]);
  await run(['mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0', image]);
  const device = (await run(['losetup', '--find', '--show', image])).stdout.trim();
  const remove = async () => {
    await run(['losetup', '--detach', device]);
    rmSync(image);
  };
  try {
    const { rdev } = statSync(device);
    // Device numbers of Linux: makedev(3).
    await host.exec(['mknod', device, 'b', String((rdev >> 8) & 0xfff), String(rdev & 0xff)]);
    await host.exec(['mount', device, '/srv']);
    await host.sh(
      'mkdir -m 700 /srv/.state; mkdir -p -m 700 /var/lib/fairlead; mount --bind /srv/.state /var/lib/fairlead',
    );
    return remove;
  } catch (thrown) {
    await remove();
    throw thrown;
  }
}

/** One of the tools that bring a host to the same state. Times in milliseconds. */
export interface Way {
  name: string;
  /** From a host without any of the resources, and a repository in which all are new. */
  first(): Promise<number>;
  /** @returns one for each repetition */
  quiet(times: number): Promise<number[]>;
  /** Removes everything from the host. */
  down(): Promise<void>;
}

export interface Prepared {
  ready: readonly Peer[];
  /** Peers that are left out, and why. */
  absent: ReadonlyMap<PeerName, string>;
}

/** The agent and the peers are installed, each with a repository. */
export async function prepare(
  { lab, host }: Stage,
  { chosen, absent }: ChosenPeers,
  log: (line: string) => void,
): Promise<Prepared> {
  const [fleet, peers] = [await lab.infra.createRepo('fleet'), await lab.infra.createRepo('peers')];
  await commitAll(lab, 'fleet', ANCHOR);
  await installAgent(host, { repoUrl: fleet.httpUrl });
  await statusWhere(lab.infra, 'edge-1', 'synced', (s) => s.sync === 'synced');
  await host.exec(['apt-get', 'update'], { timeoutMs: 300_000 });
  const ready: Peer[] = [];
  const missing = new Map(absent);
  for (const peer of chosen) {
    const why = await installPackages(host, peer, log);
    if (why === null) ready.push(peer);
    else missing.set(peer.name, why);
  }
  // Their own daemons are not used.
  await host.sh('systemctl disable --now cfengine3.service puppet.service 2>/dev/null || true');
  await commitAll(lab, 'peers', { README: 'peers\n' });
  await host.exec(['git', 'clone', '-q', peers.httpUrl, '/srv/peers']);
  await host.write('/root/time.cjs', TIME);
  await host.write('/root/sync.cjs', SYNC);
  return { ready, absent: missing };
}

/** @returns why the peer is unavailable, or null */
async function installPackages(host: LabHost, peer: Peer, log: (line: string) => void): Promise<string | null> {
  log(`installing ${peer.packages.join(', ')}`);
  const argv = ['env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', 'install', '-y', '--no-install-recommends'];
  try {
    await host.exec([...argv, ...peer.packages], { timeoutMs: 600_000 });
    return null;
  } catch (thrown) {
    return `apt-get could not install ${peer.packages.join(', ')}: ${thrown instanceof Error ? thrown.message : thrown}`;
  }
}

/** A commit of exactly these files on main, whatever their number: git-fast-import(1). */
export async function commitAll(lab: Lab, repo: string, files: Record<string, string>): Promise<void> {
  const at = Math.floor(Date.now() / 1000);
  const blobs = Object.entries(files).map(
    ([name, text]) => `M 100644 inline ${name}\ndata ${Buffer.byteLength(text)}\n${text}\n`,
  );
  const git = ['git', `--git-dir=/srv/git/${repo}.git`];
  const known = (await lab.infra.exec([...git, 'rev-parse', '-q', '--verify', 'main'], { check: false })).stdout.trim();
  const input = `commit refs/heads/main\ncommitter Bench <bench@example.com> ${at} +0000\ndata 5\nBench\n${known ? `from ${known}\n` : ''}deleteall\n${blobs.join('')}\n`;
  await lab.infra.exec([...git, 'fast-import', '--quiet', '--force'], { input });
}

/** Parts of a host. */
export type Kind = 'files' | 'units';

const fileText = (i: number, word: string) => `file ${i} ${word}\n`.repeat(20);
// systemd refuses a sixth start within ten seconds, which a bench needs and a fleet does not.
const unitText = (word: string) =>
  `[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sleep infinity\nEnvironment=WORD=${word}\n[Install]\nWantedBy=multi-user.target\n`;

/** Name below the payload's directory → content. @param issue another number makes each file another */
export function payloadOf(kind: Kind, n: number, tool: string, word: string, issue = 0): Record<string, string> {
  const names = Array.from({ length: n }, (_, i) =>
    kind === 'files' ? `d${i % 10}/f${i}` : `bench-${tool}-${n}-${i}.service`,
  );
  // Only the first file changes.
  return Object.fromEntries(
    names.map((name, i) => [
      name,
      kind === 'files' ? fileText(i, `${issue} ${i === 0 ? word : ''}`) : unitText(i === 0 ? word : ''),
    ]),
  );
}

/**
 * A run of the daemon, as a push or a schedule would start it.
 * @returns milliseconds from the request to its end, settling included, and to its last action
 */
export async function sync({ host }: Stage): Promise<{ ms: number; applied: number }> {
  const { stdout } = await host.exec([NODE, '/root/sync.cjs'], { timeoutMs: 300_000 });
  const ended = JSON.parse(stdout) as { ms: number; applied: number; sync: string; message: string };
  if (ended.sync !== 'synced') throw new Error(`the run ended ${ended.sync}: ${ended.message}`);
  return ended;
}

/** Milliseconds that a peer takes, including its pull. */
export const timed = async (
  { host }: Stage,
  peer: Peer,
  load: PeerLoad,
  more: readonly string[] = [],
): Promise<number> =>
  Number((await host.exec([NODE, '/root/time.cjs', ...peer.argv(load), ...more], { timeoutMs: 3_600_000 })).stdout);

/** So that no tool waits for the writes and deletions of another. */
export const rest = ({ host }: Stage) => host.exec(['sync']);

export async function install({ host }: Stage, peer: Peer, load: PeerLoad): Promise<void> {
  await host.sh('mkdir -p /srv/bench');
  for (const [name, text] of Object.entries(peer.policy(load)))
    await host.write(`/srv/policy/${load.dir}/${name}`, text);
}

/** So that one tool's units do not affect the next one's figures. */
export async function clear({ host }: Stage, kind: Kind, tool: string): Promise<void> {
  if (kind === 'files') await host.sh('rm -rf /srv/bench');
  else
    await host.sh(
      `cd /etc/systemd/system; units=$(ls | grep "^bench-${tool}-.*service$" || true); [ -z "$units" ] || { systemctl disable -q --now $units; rm -f $units; systemctl daemon-reload; systemctl reset-failed; }`,
      { timeoutMs: 300_000 },
    );
}

export async function times(n: number, run: (i: number) => Promise<number>): Promise<number[]> {
  const all: number[] = [];
  for (let i = 0; i < n; i++) all.push(await run(i));
  return all;
}

/** Runs its arguments and prints the milliseconds that they took. */
const TIME = `const { spawnSync } = require('child_process');
const [file, ...args] = process.argv.slice(2);
const began = process.hrtime.bigint();
const { status, stderr, stdout } = spawnSync(file, args, { encoding: 'utf8' });
const ms = Number(process.hrtime.bigint() - began) / 1e6;
if (status !== 0) { console.error(stdout + stderr); process.exit(1); }
console.log(ms);
`;

/**
 * Requests a sync from the daemon; prints the time to the last action and to the end of the run, and its result. The ten
 * milliseconds that a process takes for its first request are not the agent's, so it makes another request before.
 */
const SYNC = `const http = require('http');
const ask = (method, path, line) => new Promise((done, failed) => {
  const request = http.request({ socketPath: '/run/fairlead/agent.sock', method, path }, (response) => {
    let rest = '';
    response.setEncoding('utf8').on('data', (chunk) => {
      const lines = (rest + chunk).split('\\n');
      rest = lines.pop();
      lines.forEach(line);
    }).on('end', done);
  });
  request.on('error', failed).end(method === 'POST' ? '{}' : '');
});
(async () => {
  await ask('GET', '/v1/version', () => undefined);
  let applied = 0, run = null;
  const began = process.hrtime.bigint();
  const now = () => Number(process.hrtime.bigint() - began) / 1e6;
  await ask('POST', '/v1/sync', (line) => {
    if (line.startsWith('{"type":"action"')) applied = now();
    if (line.startsWith('{"type":"done"')) run = JSON.parse(line).run;
  });
  console.log(JSON.stringify({ ms: now(), applied, sync: run.sync, message: run.message }));
})();
`;
