/** `x-fairlead`: what a stack tells fairlead alone (product contract, "services"). Pure. */
import type { Issue } from '../core/types.ts';
import { didYouMean } from './hints.ts';
import type { LoadedProject } from './load.ts';
import type { KeyPath } from './node.ts';

const KEY = 'x-fairlead';
/** What it may say at each level, and what a value looks like. */
const KNOWN: Record<
  'top' | 'services' | 'volumes',
  Record<string, { match: RegExp; says: string; carried: boolean }>
> = {
  top: {
    project_directory: { match: /^\//, says: 'must be an absolute path', carried: true },
    adopt: { match: /^(match|recreate)$/, says: 'must be match or recreate', carried: true },
  },
  services: {
    mode: { match: /^(observe|enforce)$/, says: 'must be observe or enforce', carried: false },
    notify: { match: /^(true|false)$/, says: 'must be true or false', carried: false },
    adopt: { match: /^(match|recreate)$/, says: 'must be match or recreate', carried: true },
  },
  volumes: {
    mode: { match: /^(observe|enforce)$/, says: 'must be observe or enforce', carried: false },
    prune: { match: /^(true|false)$/, says: 'must be true or false', carried: false },
    adopt: { match: /^(match|recreate)$/, says: 'must be match or recreate', carried: false },
  },
};

/** Whatever stands there and is not known, not right or not carried out yet. */
export function fairleadIssues(loaded: LoadedProject): Issue[] {
  const { project, origin } = loaded;
  const issues: Issue[] = [];
  const report = (path: KeyPath, message: string) => {
    const { file, line, column } = origin(path);
    issues.push({ file, line, column, key: path.join('.'), message, severity: 'error' });
  };
  const check = (path: KeyPath, known: (typeof KNOWN)['top']) => {
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
      else if (!rule.carried)
        report([...at, key], `\`${key}\` is read, but not carried out by this version yet; remove it`);
    }
  };
  check([], KNOWN.top);
  for (const name of Object.keys(project.services)) check(['services', name], KNOWN.services);
  for (const name of Object.keys(project.volumes ?? {})) check(['volumes', name], KNOWN.volumes);
  for (const section of ['networks', 'configs', 'secrets'] as const)
    for (const name of Object.keys(project[section] ?? {})) check([section, name], {});
  return issues;
}
