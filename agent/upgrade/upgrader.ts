/**
 * Has a package put another version of the agent in place, on a host where systemd runs it: stages the package, writes the order
 * and the unit that carries it out. The unit is not the agent's own: whoever replaces and judges the agent must outlive it.
 */
import { createHash, hash } from 'node:crypto';
import { chmodSync, createReadStream, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { contentOf, type Payload, StoredFile } from '../core/payload/payload.ts';
import type { AgentUpgrade } from '../core/version/agent-upgrade.ts';
import { type PackageFormat, readWantedAgent, type WantedAgent } from '../core/version/agent-wanted.ts';
import { AgentError } from '../errors.ts';
import type { Log } from '../log.ts';
import { replaceFile, syncDirectory } from '../store/disk/durable-file.ts';
import { endsWithin } from '../system/clock.ts';
import type { Exec } from '../system/exec.ts';
import { fill } from '../system/files/stored-file.ts';
import { type DownloadOptions, download } from './download.ts';
import { createOrders } from './orders.ts';

export interface UpgraderOptions {
  version: string;
  /** Directory of the running program: /usr/lib/fairlead. */
  programDir: string;
  stateDir: string;
  /** Repository whose private CA also vouches for packages. */
  repo: { ca?: string | undefined };
  /** Proxies; and FAIRLEAD_UPGRADE_TRIAL, how many seconds a new version is on trial: for tests. */
  env: DownloadOptions['env'];
  /** Default: /etc/systemd/system. */
  unitDir?: string;
  exec: Exec;
  log: Log;
}

export interface Upgrader extends AgentUpgrade {
  /** At the start of an agent: an order whose unit does not run is carried on. As `begin`, but for an agent on trial. */
  resume(signal: AbortSignal): Promise<void>;
}

const UNIT = 'fairlead-upgrade.service';
const TRIAL_SECONDS = 600;
const LOOK_MS = 500;
/** Time for which no run begins, while the package is unpacked; after that drift matters more. */
const HOLD_MS = 90_000;

export function createUpgrader(options: UpgraderOptions): Upgrader {
  const { version, programDir, unitDir = '/etc/systemd/system', exec, log } = options;
  const orders = createOrders(path.join(options.stateDir, 'upgrade'));
  let format: PackageFormat | null | undefined;
  let read: { commit: string; hostPath: string; wanted: WantedAgent | null } | null = null;
  const own = (name: string) => path.join(programDir, name);

  async function installedAs(): Promise<PackageFormat | null> {
    if (!existsSync(own('upgrade.sh')) || !existsSync(own(UNIT))) return null;
    if (existsSync(own('.list'))) return 'tarball';
    const isOwned = async (...argv: string[]) => (await exec(argv)).code === 0;
    if (await isOwned('dpkg-query', '--show', '--showformat=.', 'fairlead')) return 'deb';
    return (await isOwned('rpm', '--query', '--quiet', 'fairlead')) ? 'rpm' : null;
  }

  async function systemctl(...args: string[]): Promise<void> {
    const { code, stderr } = await exec(['systemctl', ...args]);
    if (code !== 0) throw unfit(`systemctl ${args.join(' ')} failed: ${stderr.trim()}`);
  }
  const isAtWork = async () => (await exec(['systemctl', 'is-active', '--quiet', UNIT])).code === 0;

  async function start(): Promise<void> {
    replaceFile(path.join(unitDir, UNIT), readFileSync(own(UNIT), 'utf8'));
    // The mode of unit files: systemd complains about a unit that only root can read.
    chmodSync(path.join(unitDir, UNIT), 0o644);
    const wants = path.join(unitDir, 'multi-user.target.wants');
    mkdirSync(wants, { recursive: true });
    rmSync(path.join(wants, UNIT), { force: true });
    symlinkSync(`../${UNIT}`, path.join(wants, UNIT));
    await syncDirectory(wants);
    await systemctl('daemon-reload');
    await systemctl('start', '--no-block', UNIT);
  }

  async function begin(signal: AbortSignal): Promise<void> {
    try {
      await start();
    } catch (thrown) {
      orders.withdraw();
      log.error({ reason: 'AgentUpgradeUnfit' }, thrown instanceof Error ? thrown.message : String(thrown));
      return;
    }
    const ended = (async () => {
      while (orders.isOpen() && !signal.aborted) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    })();
    await endsWithin(HOLD_MS, ended);
  }

  return {
    version,
    async format() {
      format ??= await installedAs();
      return format;
    },
    wanted({ info: { commit }, hostPath, files }) {
      // A directory that is no commit may say something else the next time.
      if (commit === '' || read?.commit !== commit || read.hostPath !== hostPath)
        read = { commit, hostPath, wanted: readWantedAgent(files, hostPath).wanted };
      return read.wanted;
    },
    pending: orders.pending,
    digest: (wanted, files) => digestOf(wanted, files),
    tried: orders.bad,
    forget: orders.forget,
    result: orders.result,
    async stage(wanted, files, signal) {
      // The script may be about to finish, and would delete files that are staged now.
      if (await isAtWork()) throw unfit(`${UNIT} is still at work; tried again`, 'AgentUpgrading');
      orders.clear();
      const file = path.join(orders.packageDir, fileOf(wanted));
      if ('url' in wanted.source)
        await download(wanted.source.url, file, { ca: options.repo.ca, env: options.env }, signal);
      else await copyPayload(files, wanted.source.payload, file);
      const sha256 = await hashOf(file);
      const expected = digestOf(wanted, files);
      if (sha256 !== expected)
        throw new AgentError({
          code: 'PackageMismatch',
          phase: 'prepare',
          message: `the package of fairlead ${wanted.version} has the SHA-256 ${sha256}, and \`agent.sha256\` says ${expected}`,
        });
      await syncDirectory(orders.packageDir);
      return { wanted, sha256 };
    },
    order({ wanted, sha256 }, reached) {
      const order = {
        ...{ version: wanted.version, from: version, format: wanted.format, file: fileOf(wanted), sha256, reached },
        seconds: trialSeconds(options.env.FAIRLEAD_UPGRADE_TRIAL),
      };
      orders.prune();
      orders.write(order, own('upgrade.sh'));
    },
    begin,
    async resume(signal) {
      if (!orders.isOpen() || (await isAtWork())) return;
      log.warn({}, 'an upgrade of the agent was interrupted, and continues');
      // On trial it must be seen at work.
      if (orders.isOnTrial()) await start();
      else await begin(signal);
    },
  };
}

/** Whole seconds; ten minutes where nothing of that kind is given. */
function trialSeconds(given: string | undefined): number {
  const seconds = Number(given ?? '');
  return Number.isSafeInteger(seconds) && seconds > 0 ? seconds : TRIAL_SECONDS;
}

const unfit = (message: string, code: 'AgentUpgradeUnfit' | 'AgentUpgrading' = 'AgentUpgradeUnfit') =>
  new AgentError({ code, phase: 'prepare', message });

/** A plain name, whatever the source is called. */
const fileOf = ({ source, format }: WantedAgent): string => {
  if (format !== 'tarball') return `fairlead.${format}`;
  const name = 'url' in source ? source.url.replace(/[?#].*$/s, '') : source.payload;
  return `fairlead.${/\.(tar(?:\.(?:xz|zst|gz))?|tgz)$/.exec(name)?.[1] ?? 'tar'}`;
};

function digestOf({ source, sha256 }: WantedAgent, files: Payload): string | null {
  if ('url' in source) return sha256;
  const content = contentOf(files, source.payload);
  if (content === undefined) return null;
  return content instanceof StoredFile ? content.sha256 : hash('sha256', content);
}

/** @throws AgentError `PayloadDamaged` */
async function copyPayload(files: Payload, payload: string, file: string): Promise<void> {
  const content = contentOf(files, payload);
  if (content === undefined) throw unfit(`${payload} is not in this commit`);
  const handle = await open(file, 'w', 0o600);
  try {
    await fill(handle.fd, content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function hashOf(file: string): Promise<string> {
  const sum = createHash('sha256');
  for await (const chunk of createReadStream(file)) sum.update(chunk);
  return sum.digest('hex');
}
