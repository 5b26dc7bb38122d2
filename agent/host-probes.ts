/** What doctor looks at on the host itself. Each answers what it found, or throws an Ailment with the fix. */
import { accessSync, constants, existsSync, readFileSync, statfsSync, statSync } from 'node:fs';
import path from 'node:path';
import type { AgentConfig } from './config.ts';
import { roughly, type TimeSync } from './core/clock-doubt.ts';
import { distrust } from './git/trust/trusted-file.ts';
import { MOST_OFF_MS, serverAhead } from './git/wire/server-date.ts';

/** What is wrong, and what to do about it. */
export class Ailment extends Error {
  readonly fix: string;
  constructor(message: string, fix: string) {
    super(message);
    this.fix = fix;
  }
}

/** What could not be checked, and how it can be: no fault of the host, which may have nothing to check it with. */
export class Unknown extends Ailment {}

const LEAST_FREE = 200 * 1024 * 1024;
const LEAST_INODES = 1_000;
/** Below it a handful of programs that watch files use up what a user may watch (proc(5)). */
const LEAST_WATCHES = 16_384;
const WATCHES = '/proc/sys/fs/inotify/max_user_watches';

/** Keys whose files hold what nobody else may read. */
const SECRET = /^(passwordFile|tokenFile|bearerFile|sshKeyFile|key)$/;
const NAMED =
  /^(passwordFile|tokenFile|bearerFile|sshKeyFile|key|ca|cert|knownHostsFile|allowedSigners|revoked|varsFile)$/;
/** Keys whose files may well be empty. */
const MAY_BE_EMPTY = /^varsFile$/;

interface Named {
  /** What names it: a key of agent.yaml. */
  at: string;
  file: string;
  secret: boolean;
}

/**
 * agent.yaml, the host's own key, and every file that agent.yaml names: there, readable, not empty, and as private as it must be.
 * @param file agent.yaml
 * @param key the host's age identity, which the first start makes
 */
export async function credentials(config: AgentConfig, file: string, key: string): Promise<string> {
  if ((statSync(file).mode & 0o022) !== 0)
    throw new Ailment(`others on this host can change ${file}, which decides who is root here`, `chmod 600 ${file}`);
  const own = existsSync(key) ? [{ at: "the host's age key", file: key, secret: true }] : [];
  const named = [...own, ...filesOf(config, '')];
  for (const one of named) inspect(one);
  const { verify } = config.repo;
  // As the daemon does before it trusts a signature.
  for (const decides of verify ? [file, verify.allowedSigners, verify.revoked].filter((f) => f !== undefined) : []) {
    const why = await distrust(decides);
    if (why !== null) throw new Ailment(`${why}; until then no signature counts`, 'only root may change these files');
  }
  return `${named.length} ${named.length === 1 ? 'file' : 'files'}, each there and as private as it must be`;
}

function inspect({ at, file, secret }: Named): void {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined)
    throw new Ailment(`${at} names ${file}, which does not exist`, `create the file, or fix ${at} in agent.yaml`);
  if (!stat.isFile()) throw new Ailment(`${at} names ${file}, which is no regular file`, `fix ${at} in agent.yaml`);
  if (stat.size === 0 && !MAY_BE_EMPTY.test(at))
    throw new Ailment(`${file} (${at}) is empty`, 'write into it what it is to hold');
  if (secret && (stat.mode & 0o077) !== 0)
    throw new Ailment(
      `${file} (${at}) is a secret that others on this host can read or change (mode 0${(stat.mode & 0o777).toString(8)})`,
      `chmod 600 ${file}`,
    );
  try {
    accessSync(file, constants.R_OK);
  } catch {
    throw new Ailment(`${file} (${at}) cannot be read by this user`, 'run doctor as root, as whom the agent runs');
  }
}

function filesOf(value: unknown, at: string): Named[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, item]) => {
    const here = at === '' ? key : `${at}.${key}`;
    if (typeof item === 'string') return NAMED.test(key) ? [{ at: here, file: item, secret: SECRET.test(key) }] : [];
    return filesOf(item, here);
  });
}

/** How many directories may be watched for changes of files. */
export function watches(): string {
  const granted = existsSync(WATCHES) ? Number(readFileSync(WATCHES, 'utf8')) : 0;
  if (granted > 0 && granted < LEAST_WATCHES)
    throw new Ailment(
      `a user may watch ${granted} directories, all programs together; beyond that drift is found by the schedule alone`,
      'echo fs.inotify.max_user_watches=524288 > /etc/sysctl.d/60-fairlead.conf && sysctl --system',
    );
  if (granted > 0) return `a user may watch ${granted} directories`;
  throw new Ailment('the kernel does not say how many directories may be watched', 'mount /proc');
}

/** Room where the state lies, in bytes and in files, and that it can be written. */
export function disk(state: string): string {
  let dir = state;
  while (!existsSync(dir)) dir = path.dirname(dir);
  const { bavail, bsize, files, ffree } = statfsSync(dir);
  const mib = Math.floor((bavail * bsize) / 1024 / 1024);
  const fix = `free some space at ${dir} (du -x ${dir} | sort -n); until then the agent records nothing`;
  if (bavail * bsize < LEAST_FREE) throw new Ailment(`only ${mib} MiB are free at ${dir}`, fix);
  // Some file systems count no inodes.
  if (files > 0 && ffree < LEAST_INODES) throw new Ailment(`only ${ffree} more files fit at ${dir}`, fix);
  try {
    accessSync(dir, constants.W_OK);
  } catch {
    throw new Ailment(
      `${dir} cannot be written`,
      'run doctor as root; if it is, the file system is mounted read only: mount -o remount,rw',
    );
  }
  return `${mib} MiB free at ${dir}`;
}

/** What to do about a clock that is not known to be right. */
export const SET_CLOCK =
  'compare `date` with a clock that is right; where there is a time server: timedatectl set-ntp true';

/**
 * Against the git server's own clock, if it speaks http: good enough to find one that is minutes off. Else by whether a
 * time server confirms it. A host in a closed network may have neither, and then its clock is unknown.
 * @param sync asks that; null where nothing of the host itself is managed
 */
export async function clock({ repo }: AgentConfig, sync: (() => Promise<TimeSync>) | null): Promise<string> {
  if (!/^https?:/.test(repo.url)) {
    if (sync !== null && (await sync()) === 'yes') return 'a time server confirms it';
    throw new Unknown(
      'could not be checked: no time server confirms it, and the repository is not reached over http',
      SET_CLOCK,
    );
  }
  const ahead = await serverAhead(repo.url);
  if (ahead === null) {
    if (sync !== null && (await sync()) === 'yes') return 'a time server confirms it';
    throw new Unknown('could not be checked: the git server did not say what time it is', SET_CLOCK);
  }
  if (Math.abs(ahead) > MOST_OFF_MS)
    throw new Ailment(
      `is ${roughly(ahead)} ${ahead > 0 ? 'behind' : 'ahead of'} the git server’s: certificates, signatures and schedules go wrong`,
      'timedatectl set-ntp true; without a time server: timedatectl set-time',
    );
  return 'agrees with the git server’s';
}
