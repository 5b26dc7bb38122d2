import { AgentError } from '../../errors.ts';
import type { Clock } from '../clock.ts';
import type { Files } from './files.ts';
import { identityOf } from './io.ts';

/** Users and groups of the host, from passwd(5) and group(5). */
export interface Accounts {
  /** Throws AgentError `UnknownOwner`. A number stands for itself. */
  uid(owner: string): number;
  gid(group: string): number;
  /** Users and groups as of now, for an observation of many files. */
  names(): Names;
}

export interface Names {
  user(uid: number): string;
  group(gid: number): string;
}

/** A run that writes a thousand files need not ask a thousand times. */
const FRESH_MS = 100;

/** The accounts as the files have them now; read again only where they changed. */
export function createAccounts(files: Files, clock: Pick<Clock, 'monotonic'>): Accounts {
  let known: { identity: string; accounts: Table; at: number } | null = null;
  const names = ['/etc/passwd', '/etc/group'];
  const current = (freshMs: number): Table => {
    const now = clock.monotonic();
    if (known !== null && now - known.at < freshMs) return known.accounts;
    const stats = files.statAll(names);
    const identity = names
      .map((name) => stats.get(name))
      .map((stat) => (stat === undefined || stat instanceof Error ? '' : identityOf(stat)))
      .join(' ');
    const accounts = known?.identity === identity ? known.accounts : readAccounts(files);
    known = { identity, accounts, at: now };
    return accounts;
  };
  const find = (lookup: (accounts: Table) => number): number => {
    try {
      return lookup(current(FRESH_MS));
    } catch {
      // An unknown name may have been created this very moment.
      return lookup(current(0));
    }
  };
  return {
    uid: (owner) => find((accounts) => accounts.uid(owner)),
    gid: (group) => find((accounts) => accounts.gid(group)),
    names: () => current(FRESH_MS),
  };
}

type Table = Pick<Accounts, 'uid' | 'gid'> & Names;

function readAccounts(files: Files): Table {
  const users = table(files, '/etc/passwd');
  const groups = table(files, '/etc/group');
  const find = (ids: Map<string, number>, name: string, what: string): number => {
    const id = /^\d+$/.test(name) ? Number(name) : name === 'root' ? 0 : ids.get(name);
    if (id !== undefined) return id;
    throw new AgentError({
      code: 'UnknownOwner',
      phase: 'apply',
      message: `this host has no ${what} \`${name}\`; create it, or name another one`,
    });
  };
  const inverse = (ids: Map<string, number>) => new Map([...ids].reverse().map(([name, id]) => [id, name]));
  const userNames = inverse(users);
  const groupNames = inverse(groups);
  return {
    uid: (owner) => find(users, owner, 'user'),
    gid: (group) => find(groups, group, 'group'),
    user: (uid) => (uid === 0 ? 'root' : (userNames.get(uid) ?? String(uid))),
    group: (gid) => (gid === 0 ? 'root' : (groupNames.get(gid) ?? String(gid))),
  };
}

function table(files: Files, file: string): Map<string, number> {
  const text = files.stat(file)?.type === 'file' ? files.read(file).toString('utf8') : '';
  const rows = text.split('\n').map((line) => line.split(':'));
  return new Map(rows.filter((r) => r.length > 2).map((r) => [r[0] ?? '', Number(r[2])]));
}
