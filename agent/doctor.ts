/** What a host needs of the world around it, each part probed by itself, with the fix where it fails. */
import { existsSync, statfsSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import type { DoctorDocument } from '../manifests-schema/documents.ts';
import type { AgentConfig } from './config.ts';
import { AgentError } from './errors.ts';
import { createSource } from './git/source.ts';
import { configFile, type LayoutOptions, loadConfig, rootOf, runDir, stateDir } from './layout.ts';
import { silentLog } from './log.ts';
import { createDocker } from './system/docker.ts';
import { exec } from './system/exec.ts';
import { connectBroker } from './system/mqtt.ts';
import { createSystemd } from './system/systemd.ts';

const PROBE_MS = 15_000;
const LEAST_FREE = 200 * 1024 * 1024;
/** A clock that is further off breaks certificates, signatures and schedules. */
const MOST_OFF_MS = 60_000;

type Finding = DoctorDocument['findings'][number];
type Probe = (config: AgentConfig) => Promise<string>;

/** @returns one finding a part, in the order in which one would mend them */
export async function examine(options: LayoutOptions): Promise<Finding[]> {
  const file = configFile(options);
  let config: AgentConfig;
  try {
    config = loadConfig(options);
  } catch (thrown) {
    return [finding('config', thrown, 'mend the file; `fairlead init` writes a first one')];
  }
  const trial = rootOf(options) !== '';
  const probes: [string, Probe, string][] = [
    ['daemon', () => daemon(options), 'start it: systemctl enable --now fairlead; its log: journalctl -u fairlead'],
    ['repository', repository, 'check repo.url, repo.auth and repo.ca in agent.yaml, and the way there from this host'],
    ...(config.mqtt
      ? [['broker', broker, 'check mqtt in agent.yaml, and the way there from this host'] as [string, Probe, string]]
      : []),
    ...(trial
      ? []
      : ([
          ['systemd', systemd, 'fairlead needs systemd as the first process, and dbus: systemctl start dbus'],
          ['docker', docker, 'only stacks need it: apt-get install docker.io; systemctl start docker'],
        ] as [string, Probe, string][])),
    ['clock', clock, 'set it: timedatectl set-ntp true'],
    [
      'disk',
      async () => disk(options),
      'free some space below /var/lib/fairlead: the agent stops recording without it',
    ],
  ];
  const found = await Promise.all(
    probes.map(async ([name, probe, fix]): Promise<Finding> => {
      try {
        return { name, ok: true, message: await probe(config), fix: '' };
      } catch (thrown) {
        return finding(name, thrown, fix);
      }
    }),
  );
  return [
    { name: 'config', ok: true, message: `${file}: host ${config.host}, fleet ${config.fleet}`, fix: '' },
    ...found,
  ];
}

function finding(name: string, thrown: unknown, fix: string): Finding {
  return { name, ok: false, message: thrown instanceof Error ? thrown.message : String(thrown), fix };
}

function daemon(options: LayoutOptions): Promise<string> {
  const socket = path.join(runDir(options), 'status.sock');
  return new Promise((resolve, reject) => {
    const probe = connect(socket, () => {
      probe.destroy();
      resolve(`answers at ${socket}`);
    });
    probe.on('error', (error: NodeJS.ErrnoException) =>
      reject(new Error(`does not answer at ${socket} (${error.code})`)),
    );
  });
}

const repository: Probe = async ({ repo }) => {
  const source = createSource({ ...repo, gitdir: '/nonexistent', env: process.env, exec, log: silentLog });
  const commit = await source.head(AbortSignal.timeout(PROBE_MS));
  return `${repo.url} answers; ${repo.ref} is ${commit.slice(0, 7)}`;
};

const broker: Probe = async ({ mqtt }) => {
  if (mqtt === undefined) return 'none is configured';
  const client = await connectBroker({ broker: mqtt, clientId: `fairlead-doctor-${process.pid}`, timeoutMs: PROBE_MS });
  client.end(true);
  return `${mqtt.url} answers`;
};

const systemd: Probe = async () => {
  const bus = createSystemd({ socket: '/run/dbus/system_bus_socket' });
  try {
    await bus.list(['fairlead.service']);
    return 'answers over D-Bus';
  } finally {
    bus.close();
  }
};

const docker: Probe = async ({ docker: { socket } }) => {
  const running = (await createDocker({ socket }).containers()).length;
  return `answers at ${socket}; ${running} ${running === 1 ? 'container' : 'containers'}`;
};

/** Against the git server's own clock, where it speaks http: good enough to find one that is minutes off. */
const clock: Probe = async ({ repo }) => {
  if (!/^https?:/.test(repo.url)) return 'nothing to compare it with: the repository is not reached over http';
  const asked = Date.now();
  const date = await serverDate(repo.url).catch(() => null);
  if (date === null) return 'the git server did not say what time it is';
  const off = Math.abs(date - (asked + Date.now()) / 2);
  if (off > MOST_OFF_MS) throw new Error(`is ${Math.round(off / 1000)} s off the git server's`);
  return 'agrees with the git server’s';
};

async function serverDate(url: string): Promise<number | null> {
  const { request } = await (url.startsWith('https:') ? import('node:https') : import('node:http'));
  return new Promise((resolve, reject) => {
    // The date counts whoever gives it: the certificate is the repository probe's to judge.
    const ask = request(url, { method: 'HEAD', rejectUnauthorized: false, timeout: PROBE_MS } as object, (response) => {
      response.resume();
      resolve(response.headers.date ? Date.parse(response.headers.date) : null);
    });
    ask.on('timeout', () => ask.destroy(new Error('no answer')));
    ask.on('error', reject);
    ask.end();
  });
}

function disk(options: LayoutOptions): string {
  let dir = stateDir(options);
  while (!existsSync(dir)) dir = path.dirname(dir);
  const { bavail, bsize } = statfsSync(dir);
  const mib = Math.floor((bavail * bsize) / 1024 / 1024);
  if (bavail * bsize < LEAST_FREE)
    throw new AgentError({ code: 'DiskFull', phase: 'observe', message: `only ${mib} MiB are free at ${dir}` });
  return `${mib} MiB free at ${dir}`;
}
