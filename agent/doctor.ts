/** Checks each thing that a host needs, and names the remedy for each failure. */
import { accessSync, constants, existsSync } from 'node:fs';
import path from 'node:path';
import type { DoctorDocument } from '../manifests-schema/documents.ts';
import type { StatusDocument } from '../manifests-schema/payloads.ts';
import type { AgentConfig } from './config.ts';
import { createControlClient } from './control/client.ts';
import { listedCommands } from './control/remote/lazy.ts';
import { canonicalHost, pathBehind } from './core/names/image-name.ts';
import { AgentError } from './errors.ts';
import { createSource } from './git/source.ts';
import { clock, credentials, disk, ProbeFailure, SET_CLOCK, Unknown, watches } from './host-probes.ts';
import { configFile, type LayoutOptions, loadConfig, rootOf, runDir, stateDir } from './layout.ts';
import { silentLog } from './log.ts';
import { createChannelProbe } from './report/index.ts';
import { createDocker } from './system/docker/docker.ts';
import { createCredentials } from './system/docker/registry-credentials.ts';
import { exec } from './system/exec.ts';
import { createSystemd } from './system/systemd/systemd.ts';
import { timeSync } from './system/time-sync.ts';

const PROBE_MS = 15_000;

type Finding = DoctorDocument['findings'][number];
interface Probe {
  name: string;
  run(config: AgentConfig): Promise<string> | string;
  /** Remedy if the failure names none itself. */
  fix: string;
}

export interface DoctorOptions extends LayoutOptions {
  /** Version of this program. */
  version: string;
}

/** @returns one finding for each part, in the order in which to fix them */
export async function examine(options: DoctorOptions): Promise<Finding[]> {
  const file = configFile(options);
  let config: AgentConfig;
  try {
    config = loadConfig(options);
  } catch (thrown) {
    // A user who cannot read the file cannot fix it either.
    const fix = isForbidden(file)
      ? 'run doctor as root, as whom the agent runs'
      : existsSync(file)
        ? `fix ${file}; man agent.yaml has every key`
        : 'fairlead init https://git.example.com/fleet.git, with the address of your repository';
    return [finding('config', thrown, fix)];
  }
  const hosts = rootOf(options) === '' ? [systemd] : [];
  if (rootOf(options) === '' && (await needsEngine(options, config))) hosts.push(docker);
  if (rootOf(options) === '' && Object.keys(config.docker.registries).length > 0) hosts.push(registries);
  const probes: Probe[] = [
    daemon(options),
    {
      name: 'credentials',
      run: (given) => credentials(given, file, path.join(stateDir(options), 'age.key')),
      fix: 'run doctor as root, as whom the agent runs',
    },
    repository,
    ...channel(config),
    ...hosts,
    { name: 'watches', run: watches, fix: 'mount /proc' },
    {
      name: 'clock',
      async run(given) {
        const doubt = (await problemsOf(options)).find(({ reason }) => reason === 'ClockWrong');
        if (doubt) throw new ProbeFailure(doubt.message, SET_CLOCK);
        return clock(given, rootOf(options) === '' ? () => timeSync(exec) : null);
      },
      fix: SET_CLOCK,
    },
    { name: 'disk', run: () => disk(stateDir(options)), fix: `look at ${stateDir(options)}` },
  ];
  const found = await Promise.all(
    probes.map(async ({ name, run, fix }): Promise<Finding> => {
      try {
        return { ...WELL, name, message: await run(config) };
      } catch (thrown) {
        return finding(name, thrown, fix);
      }
    }),
  );
  const said = `${file}: host ${config.host}, fleet ${config.fleet}`;
  return [{ ...WELL, name: 'config', message: said }, ...found];
}

/** Also true if it is in a directory that this user may not enter. */
function isForbidden(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return false;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'EACCES';
  }
}

const WELL = { ok: true, unknown: false, fix: '' } as const;

function finding(name: string, thrown: unknown, fix: string): Finding {
  const special =
    thrown instanceof ProbeFailure ? thrown.fix : thrown instanceof AgentError ? FIXES[thrown.code] : undefined;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const unknown = thrown instanceof Unknown;
  return { name, ok: unknown, unknown, message, fix: special ?? fix };
}

/** Remedies by the code of the failure. */
const FIXES: Readonly<Record<string, string>> = {
  AuthenticationFailed:
    'name a file with a token, a password or a deploy key in repo.auth of agent.yaml (man agent.yaml), or put a fresh one into the file that it names; the server must let it read',
  HostKeyUnknown: 'ssh-keyscan HOST, compare with what the server’s owner says, and add it to repo.auth.knownHostsFile',
  RefNotFound:
    'push it, or check repo.ref in agent.yaml: a branch, a tag, a pattern of tags or a commit of this repository',
  UnsupportedRepository: 'use a repository with SHA-1 ids, and a server that speaks git protocol 2',
  DaemonUnreachable: 'systemctl enable --now fairlead; its log: journalctl -u fairlead',
};

/** The daemon answers, has this version, and watches everything that it has to. */
const daemon = (options: DoctorOptions): Probe => ({
  name: 'daemon',
  fix: 'run doctor as root, or as a member of the group fairlead',
  async run() {
    const client = createControlClient({ dir: runDir(options) });
    const { version } = (await client.get<{ version: string }>('version')) ?? { version: 'another' };
    const at = path.join(runDir(options), 'agent.sock');
    if (version !== options.version)
      throw new ProbeFailure(
        `the daemon at ${at} is of version ${version}, this program of ${options.version}`,
        'systemctl restart fairlead',
      );
    const status = await client.get<StatusDocument>('status');
    const deaf = status?.problems.find((p) => p.reason.startsWith('WatchLimit'));
    if (deaf)
      throw new ProbeFailure(
        deaf.message,
        "printf 'fs.inotify.max_user_watches=524288\\nfs.inotify.max_user_instances=1024\\n' > /etc/sysctl.d/60-fairlead.conf && sysctl --system; systemctl restart fairlead",
      );
    const taken = status?.problems.find(({ reason }) => reason === 'NameTaken');
    if (taken)
      throw new ProbeFailure(
        taken.message,
        'systemctl disable --now fairlead, on the machine that this one replaces; the name is tried again here within minutes',
      );
    const missing = status?.problems.find(({ reason }) => reason === 'AddressMissing');
    if (missing)
      throw new ProbeFailure(`${missing.id}: ${missing.message}`, 'ip -br address lists the addresses of this host');
    return `answers at ${at}; ${status?.sync}, ${status?.health}`;
  },
});

const repository: Probe = {
  name: 'repository',
  fix: 'check repo.url and repo.ca in agent.yaml, and the way there from this host: name server, route, firewall',
  async run({ repo }) {
    const source = createSource({ ...repo, gitdir: '/nonexistent', env: process.env, exec, log: silentLog });
    const commit = await source.head(AbortSignal.timeout(PROBE_MS));
    return `${repo.url} answers; ${repo.ref} is ${commit.slice(0, 7)}`;
  },
};

/** The broker to which this host reports, if agent.yaml names one. */
function channel(config: AgentConfig): Probe[] {
  const found = createChannelProbe(config, { host: config.host, fleet: config.fleet, ref: config.repo.ref });
  if (found === null) return [];
  const { name, address, fix } = found;
  const run = async () => {
    await found.probe(AbortSignal.timeout(PROBE_MS));
    const remarks = (await found.remarks?.(AbortSignal.timeout(PROBE_MS)).catch(() => [])) ?? [];
    const listed = listedCommands(config.mqtt);
    const commands =
      listed.length === 0
        ? 'this host follows no commands from there'
        : `whoever may publish commands there can ${listed.join(', ')}`;
    return [`${address} answers`, commands, ...remarks].join('; ');
  };
  return [{ name, fix, run }];
}

const systemd: Probe = {
  name: 'systemd',
  fix: 'fairlead needs systemd as the first process, and dbus: systemctl start dbus',
  async run() {
    const bus = createSystemd({ socket: '/run/dbus/system_bus_socket' });
    try {
      await bus.list(['fairlead.service']);
      return 'answers over D-Bus';
    } finally {
      bus.close();
    }
  },
};

/** A missing Docker engine is a failure only if a problem names it: a host with only files and units needs none. */
async function needsEngine(options: DoctorOptions, { docker: { socket } }: AgentConfig): Promise<boolean> {
  if (existsSync(socket) || socket !== USUAL_SOCKET) return true;
  return (await problemsOf(options)).some(({ reason }) => reason === 'EngineUnreachable');
}

/** Problems that the daemon reports; none if it does not answer. */
async function problemsOf(options: DoctorOptions): Promise<StatusDocument['problems']> {
  const client = createControlClient({ dir: runDir(options) });
  const status = await client.get<StatusDocument>('status').catch(() => null);
  return status?.problems ?? [];
}

const USUAL_SOCKET = '/var/run/docker.sock';

/** Logs in through the Docker engine, as a pull does. */
const registries: Probe = {
  name: 'registries',
  fix: 'check docker.registries in agent.yaml, and the way to them from this host',
  async run({ docker: { socket, registries: configured } }) {
    const engine = createDocker({ socket });
    const secret = () => undefined;
    const credentials = createCredentials({ registries: configured, home: '/root', root: '', exec, secret });
    const names = Object.keys(configured);
    for (const name of names) {
      const found = await credentials.of(canonicalHost(name), pathBehind(name));
      if (found === null) continue;
      await engine.login(found.auth).catch((thrown: Error) => {
        throw new Error(`${thrown.message}; asked as ${found.source}`);
      });
    }
    return `${names.join(', ')} ${names.length === 1 ? 'takes its' : 'take their'} user and password`;
  },
};

/** Docker 20.10, the oldest that fairlead is tested with. */
const LEAST_API = '1.41';

const docker: Probe = {
  name: 'docker',
  fix: 'only stacks need it: apt-get install docker.io; systemctl start docker; or fix docker.socket in agent.yaml',
  async run({ docker: { socket } }) {
    const engine = createDocker({ socket });
    const { version, api } = await engine.version();
    if (api.localeCompare(LEAST_API, 'en', { numeric: true }) < 0)
      throw new ProbeFailure(
        `the engine at ${socket} is ${version} with API ${api}; fairlead needs ${LEAST_API} or newer (Docker 20.10)`,
        'install a newer engine: apt-get install docker.io, or https://docs.docker.com/engine/install/',
      );
    const running = (await engine.containers()).length;
    return `${version} answers at ${socket}, API ${api}; ${running} ${running === 1 ? 'container' : 'containers'}`;
  },
};
