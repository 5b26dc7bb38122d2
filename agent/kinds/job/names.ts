/** The names that a job provides to others, and the names that its command uses. Pure. */
import type { Named } from '../../core/kind.ts';
import type { JobSpec } from './spec.ts';

/** `useradd --system app`, alone or within a shell's line: the last word names the account. */
const ACCOUNT = /\b(useradd|adduser|groupadd|addgroup)\s+([^;&|\n]*?)(?=\s*(?:[;&|\n]|$))/g;
const ADDRESS = /\bip\s+(?:-\d\s+)?addr(?:ess)?\s+(?:add|replace)\s+([0-9a-fA-F.:]+)/g;
const NAME = /^[a-z_][a-z0-9_-]*\$?$/i;

/** Users, groups and addresses that its command creates. */
export function jobProvides({ run }: JobSpec): string[] {
  const line = run.join(' ');
  const accounts = [...line.matchAll(ACCOUNT)].flatMap(([, program = '', words = '']) => {
    const name =
      words
        .split(/\s+/)
        .at(-1)
        ?.replace(/^["']|["']$/g, '') ?? '';
    if (!NAME.test(name)) return [];
    return program.includes('group') ? [`group:${name}`] : [`user:${name}`, `group:${name}`];
  });
  const addresses = [...line.matchAll(ADDRESS)].map(([, address]) => `address:${address}`);
  return [...new Set([...accounts, ...addresses])];
}

/** Its program, files among its arguments, its directory, and its user. */
export function jobNames({ run, unless = [], cwd, user }: JobSpec): Named[] {
  const paths = [...run, ...unless, cwd].filter((word) => /^\/[^*?\s]+$/.test(word));
  const accounts = /^(root|\d+)$/.test(user) ? [] : [`user:${user}`];
  return [...accounts, ...paths.map((path) => `path:${path.replace(/\/+$/, '')}`)].map((name) => ({ name }));
}
