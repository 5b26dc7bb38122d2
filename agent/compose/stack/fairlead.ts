/** Reads `x-fairlead`, the part of a stack that only fairlead understands (docs/compose.md). Pure. */
import { pathProblem } from '../../core/reserved-paths.ts';
import type { Desired, Issue } from '../../core/types.ts';
import type { LoadedProject } from '../load/load.ts';
import { didYouMean } from '../yaml/hints.ts';
import type { KeyPath } from '../yaml/node.ts';

const KEY = 'x-fairlead';

interface Rule {
  match: RegExp;
  says: string;
  /** Why a value that matches is wrong nevertheless, or null. */
  problem?(value: string): string | null;
}
const mode: Rule = { match: /^(observe|enforce)$/, says: 'must be observe or enforce' };
const notify: Rule = { match: /^(true|false)$/, says: 'must be true or false' };
const directory: Rule = {
  match: /^\//,
  says: 'must be an absolute path',
  problem: (value) => pathProblem(value.replace(/(?<=.)\/+$/, '')),
};
const adopt: Rule = { match: /^(match|recreate)$/, says: 'must be match or recreate' };

/** What it may say at each level, and what a value looks like. */
const KNOWN = {
  top: { project_directory: directory, adopt },
  services: { mode, notify, adopt },
  networks: { mode, adopt },
  volumes: { mode, prune: { match: /^(true|false)$/, says: 'must be true or false' }, adopt },
  configs: { notify },
  secrets: { notify },
} satisfies Record<string, Record<string, Rule>>;

/** What is said at one place; what is not said is what everything else has. */
export interface Told {
  observe: boolean;
  /** A change of a file that is mounted restarts who mounts it. */
  notify: boolean;
  prune: boolean;
  /** undefined where it is not said there. */
  adopt: 'match' | 'recreate' | undefined;
}

export function toldAt({ extension }: LoadedProject, path: KeyPath): Told {
  const said = (extension(path, KEY) ?? {}) as Record<string, unknown>;
  return {
    observe: String(said.mode) === 'observe',
    notify: String(said.notify) !== 'false',
    prune: String(said.prune) === 'true',
    adopt: said.adopt as Told['adopt'],
  };
}

/** Of a service or a network: what is said at it, or at the top of the stack. */
export const adoption = (loaded: LoadedProject, path: KeyPath): 'match' | 'recreate' =>
  (toldAt(loaded, path).adopt ?? toldAt(loaded, []).adopt) === 'recreate' ? 'recreate' : 'match';

export const modeAt = (loaded: LoadedProject, path: KeyPath): Pick<Desired, 'mode'> =>
  toldAt(loaded, path).observe ? { mode: 'observe' } : {};

/** Whatever stands there and is not known, or not right. */
export function fairleadIssues(loaded: LoadedProject): Issue[] {
  const { project, origin } = loaded;
  const issues: Issue[] = [];
  const report = (path: KeyPath, message: string) => {
    const { file, line, column } = origin(path);
    issues.push({ file, line, column, key: path.join('.'), message, severity: 'error' });
  };
  const check = (path: KeyPath, known: Record<string, Rule>) => {
    const at = [...path, KEY];
    const value = loaded.extension(path, KEY);
    if (value === undefined || value === null) return;
    if (typeof value !== 'object' || Array.isArray(value)) {
      report(at, `\`${KEY}\` must be a mapping`);
      return;
    }
    for (const [key, item] of Object.entries(value)) {
      const rule = Object.hasOwn(known, key) ? known[key] : undefined;
      if (rule === undefined)
        report([...at, key], `unknown key \`${key}\` of ${KEY}${didYouMean(key, Object.keys(known))}`);
      else if (!rule.match.test(String(item))) report([...at, key], `\`${key}\` ${rule.says}, got \`${String(item)}\``);
      else {
        const problem = rule.problem?.(String(item)) ?? null;
        if (problem !== null) report([...at, key], `\`${key}: ${String(item)}\` ${problem}; choose another directory`);
      }
    }
  };
  check([], KNOWN.top);
  for (const section of ['services', 'networks', 'volumes', 'configs', 'secrets'] as const)
    for (const name of Object.keys(project[section] ?? {})) check([section, name], KNOWN[section]);
  for (const name of Object.keys(project.volumes ?? {})) {
    const { adopt, prune } = toldAt(loaded, ['volumes', name]);
    if (adopt === 'recreate' && !prune)
      report(
        ['volumes', name, KEY, 'adopt'],
        'to make a volume anew deletes what is in it; say `prune: true` as well, or remove `adopt: recreate`',
      );
  }
  return issues;
}
