/** The checks of doctor on the host itself. Each returns its finding, or throws a ProbeFailure with the remedy. */
import { accessSync, constants, existsSync, readFileSync, statfsSync, statSync } from 'node:fs';
import path from 'node:path';
import type { AgentConfig } from './config.ts';
import { roughly, type TimeSync } from './core/clock-doubt.ts';
import { distrust } from './git/trust/trusted-file.ts';
import { MOST_OFF_MS, serverAhead } from './git/wire/server-date.ts';

/** A failed check, with its remedy. */
export class ProbeFailure extends Error {
  readonly fix: string;
  constructor(message: string, fix: string) {
    super(message);
    this.fix = fix;
  }
}

/** A check that was not possible, and how to make it possible; no failure of the host. */
export class Unknown extends ProbeFailure {}

const LEAST_FREE = 200 * 1024 * 1024;
const LEAST_INODES = 1_000;
/** Below this value a few programs that watch files can exhaust the limit of a user (proc(5)). */
const LEAST_WATCHES = 16_384;
const WATCHES = '/proc/sys/fs/inotify/max_user_watches';

/** Keys whose files nobody else may read. */
const SECRET = /^(passwordFile|tokenFile|bearerFile|sshKeyFile|key)$/;
const NAMED =
  /^(passwordFile|tokenFile|bearerFile|sshKeyFile|key|ca|cert|knownHostsFile|allowedSigners|revoked|varsFile)$/;
/** Keys whose files may be empty. */
const MAY_BE_EMPTY = /^varsFile$/;

interface Named {
  /** The key of agent.yaml that names the file. */
  at: string;
  file: string;
  secret: boolean;
}

/**
 * Checks that agent.yaml, the host's own key, and every file that agent.yaml names exist, are readable, not empty, and private enough.
 * @param file agent.yaml
 * @param key the host's age identity, which the first start creates
 */
export async function credentials(config: AgentConfig, file: string, key: string): Promise<string> {
  if ((statSync(file).mode & 0o022) !== 0)
    throw new ProbeFailure(
      `others on this host can change ${file}, which decides who is root here`,
      `chmod 600 ${file}`,
    );
  const own = existsSync(key) ? [{ at: "the host's age key", file: key, secret: true }] : [];
  const named = [...own, ...filesOf(config, '')];
  for (const one of named) inspect(one);
  const { verify } = config.repo;
  // The daemon checks the same before it trusts a signature.
  for (const decides of verify ? [file, verify.allowedSigners, verify.revoked].filter((f) => f !== undefined) : []) {
    const why = await distrust(decides);
    if (why !== null)
      throw new ProbeFailure(`${why}; until then no signature counts`, 'only root may change these files');
  }
  return `${named.length} ${named.length === 1 ? 'file' : 'files'}, each there and as private as it must be`;
}

function inspect({ at, file, secret }: Named): void {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined)
    throw new ProbeFailure(`${at} names ${file}, which does not exist`, `create the file, or fix ${at} in agent.yaml`);
  if (!stat.isFile())
    throw new ProbeFailure(`${at} names ${file}, which is no regular file`, `fix ${at} in agent.yaml`);
  if (stat.size === 0 && !MAY_BE_EMPTY.test(at))
    throw new ProbeFailure(`${file} (${at}) is empty`, 'write into it what it is to hold');
  if (secret && (stat.mode & 0o077) !== 0)
    throw new ProbeFailure(
      `${file} (${at}) is a secret that others on this host can read or change (mode 0${(stat.mode & 0o777).toString(8)})`,
      `chmod 600 ${file}`,
    );
  try {
    accessSync(file, constants.R_OK);
  } catch {
    throw new ProbeFailure(`${file} (${at}) cannot be read by this user`, 'run doctor as root, as whom the agent runs');
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

/** Checks the limit of watched directories. */
export function watches(): string {
  const granted = existsSync(WATCHES) ? Number(readFileSync(WATCHES, 'utf8')) : 0;
  if (granted > 0 && granted < LEAST_WATCHES)
    throw new ProbeFailure(
      `a user may watch ${granted} directories, all programs together; beyond that drift is found by the schedule alone`,
      'echo fs.inotify.max_user_watches=524288 > /etc/sysctl.d/60-fairlead.conf && sysctl --system',
    );
  if (granted > 0) return `a user may watch ${granted} directories`;
  throw new ProbeFailure('the kernel does not say how many directories may be watched', 'mount /proc');
}

/** Checks that the disk of the state has free bytes and inodes, and is writable. */
export function disk(state: string): string {
  let dir = state;
  while (!existsSync(dir)) dir = path.dirname(dir);
  const { bavail, bsize, files, ffree } = statfsSync(dir);
  const mib = Math.floor((bavail * bsize) / 1024 / 1024);
  const fix = `free some space at ${dir} (du -x ${dir} | sort -n); until then the agent records nothing`;
  if (bavail * bsize < LEAST_FREE) throw new ProbeFailure(`only ${mib} MiB are free at ${dir}`, fix);
  // Some file systems count no inodes.
  if (files > 0 && ffree < LEAST_INODES) throw new ProbeFailure(`only ${ffree} more files fit at ${dir}`, fix);
  try {
    accessSync(dir, constants.W_OK);
  } catch {
    throw new ProbeFailure(
      `${dir} cannot be written`,
      'run doctor as root; if it is, the file system is mounted read only: mount -o remount,rw',
    );
  }
  return `${mib} MiB free at ${dir}`;
}

/** Remedy for a clock that may be wrong. */
export const SET_CLOCK =
  'compare `date` with a clock that is right; where there is a time server: timedatectl set-ntp true';

/**
 * Compares with the clock of the git server, if that is reached over http, which finds an error of minutes. Otherwise asks whether a
 * time server confirms the date. A host in a closed network may have neither; then its clock is unknown.
 * @param sync asks the client of a time server; null if nothing of the host itself is managed
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
    throw new ProbeFailure(
      `is ${roughly(ahead)} ${ahead > 0 ? 'behind' : 'ahead of'} the git server’s: certificates, signatures and schedules go wrong`,
      'timedatectl set-ntp true; without a time server: timedatectl set-time',
    );
  return 'agrees with the git server’s';
}
