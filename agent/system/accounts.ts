import { AgentError } from '../errors.ts';
import type { Files } from './files.ts';

/** Users and groups of the host, from passwd(5) and group(5). */
export interface Accounts {
  /** Throws AgentError `UnknownOwner`. A number stands for itself. */
  uid(owner: string): number;
  gid(group: string): number;
  user(uid: number): string;
  group(gid: number): string;
}

export function readAccounts(files: Files): Accounts {
  const users = table(files, '/etc/passwd');
  const groups = table(files, '/etc/group');
  const find = (known: Map<string, number>, name: string, what: string): number => {
    const id = /^\d+$/.test(name) ? Number(name) : name === 'root' ? 0 : known.get(name);
    if (id !== undefined) return id;
    throw new AgentError({
      code: 'UnknownOwner',
      phase: 'apply',
      message: `this host has no ${what} \`${name}\`; create it, or name another one`,
      retry: true,
    });
  };
  const name = (known: Map<string, number>, id: number) =>
    id === 0 ? 'root' : ([...known].find(([, n]) => n === id)?.[0] ?? String(id));
  return {
    uid: (owner) => find(users, owner, 'user'),
    gid: (group) => find(groups, group, 'group'),
    user: (uid) => name(users, uid),
    group: (gid) => name(groups, gid),
  };
}

function table(files: Files, file: string): Map<string, number> {
  const text = files.stat(file)?.type === 'file' ? files.read(file).toString('utf8') : '';
  const rows = text.split('\n').map((line) => line.split(':'));
  return new Map(rows.filter((r) => r.length > 2).map((r) => [r[0] ?? '', Number(r[2])]));
}
