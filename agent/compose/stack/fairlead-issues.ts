/** Checks the `x-fairlead` of a stack: unknown keys, and values that are invalid or can have no effect. Pure. */

import { pathProblem } from '../../core/names/reserved-paths.ts';
import type { Payload } from '../../core/payload/payload.ts';
import { decryptProblem } from '../../core/render/kept.ts';
import type { Issue } from '../../core/types.ts';
import type { LoadedProject } from '../load/load.ts';
import { nanoseconds } from '../spec/units.ts';
import { didYouMean } from '../yaml/hints.ts';
import type { KeyPath } from '../yaml/node.ts';
import { KEY, type OnChange, settingsAt } from './fairlead.ts';

/** A sentence that says why the value of a key is invalid; null if it is valid. */
type Rule = (key: string, value: unknown) => string | null;

const shown = (value: unknown): string => (typeof value === 'object' ? JSON.stringify(value) : String(value));
const must = (key: string, be: string, value: unknown): string => `\`${key}\` must be ${be}, got \`${shown(value)}\``;

const oneOf = (...words: readonly string[]): Rule => {
  const choice = words.join(', ').replace(/, (?=[^,]+$)/, ' or ');
  return (key, value) => (words.includes(String(value)) ? null : must(key, choice, value));
};

const directory: Rule = (key, value) => {
  const path = String(value);
  if (!path.startsWith('/')) return must(key, 'an absolute path', value);
  const problem = pathProblem(path.replace(/(?<=.)\/+$/, ''));
  return problem === null ? null : `\`${key}: ${path}\` ${problem}; choose another directory`;
};

const duration: Rule = (key, value) => {
  const length = typeof value === 'string' ? nanoseconds(value) : null;
  return length !== null && length > 0n ? null : must(key, 'a duration such as 90s or 10m', value);
};

/** Names of signal(7), with or without SIG, that ask a process for something, and numbers. */
const SIGNAL =
  /^((SIG)?(HUP|INT|QUIT|USR1|USR2|TERM|CONT|WINCH|ALRM|CHLD|URG|IO|RTMIN(\+\d{1,2})?|RTMAX(-\d{1,2})?)|[1-9]|[1-5]\d|6[0-4])$/;

const onChange: Rule = (key, value) => {
  if (value === 'restart' || value === 'none') return null;
  const keys = typeof value === 'object' && value !== null ? Object.keys(value) : [];
  if (keys.length !== 1 || keys[0] !== 'signal') return must(key, 'restart, none or {signal: HUP}', value);
  const { signal } = value as { signal: unknown };
  return SIGNAL.test(String(signal)) ? null : must(`${key}.signal`, 'the name of a signal such as HUP', signal);
};

/** A file of Compose is mounted alone, and keeps its old content for as long as its container runs. */
const onFileChange: Rule = (key, value) =>
  typeof value === 'object' && value !== null && onChange(key, value) === null
    ? `\`${key}: {signal: …}\` has no effect on a file: it is mounted alone, and its container sees the old content until it is restarted; write restart or none`
    : onChange(key, value);

/** Which names they may be is said where they are read. */
const files: Rule = (key, value) =>
  Array.isArray(value) && value.every((name) => typeof name === 'string') ? null : must(key, 'a list of files', value);

const patterns: Rule = (key, value) => {
  const problem = decryptProblem(value);
  return problem === null ? null : `\`${key}\` ${problem}`;
};

const mode = oneOf('observe', 'enforce');
const adopt = oneOf('match', 'recreate');
const rollback = oneOf('off', 'auto');
const empty = oneOf('allow', 'hold');
/** The keys that are allowed at each level. */
const KNOWN = {
  top: { project_directory: directory, adopt, rollback, patience: duration, empty, decrypt: patterns, files },
  services: { mode, on_change: onChange, adopt, rollback, patience: duration, empty },
  networks: { mode, adopt },
  volumes: { mode, prune: oneOf('true', 'false'), adopt },
  configs: { on_change: onFileChange, decrypt: oneOf('true', 'false') },
  secrets: { on_change: onFileChange, decrypt: oneOf('true', 'false') },
} satisfies Record<string, Record<string, Rule>>;

/**
 * Reports every unknown key and every invalid value.
 * @param payload tells a mounted file of the repository from a directory
 * @param options.isWhole the project has no errors of its own: otherwise nobody can tell which keys have an effect
 */
export function fairleadIssues(loaded: LoadedProject, payload: Payload, { isWhole }: { isWhole: boolean }): Issue[] {
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
      if (rule === undefined) {
        report([...at, key], `unknown key \`${key}\` of ${KEY}${instead(key, known)}`);
        continue;
      }
      const problem = rule(key, item);
      if (problem !== null) report([...at, key], problem);
    }
  };
  check([], KNOWN.top);
  for (const section of ['services', 'networks', 'volumes', 'configs', 'secrets'] as const)
    for (const name of Object.keys(project[section] ?? {})) check([section, name], KNOWN[section]);
  if (issues.length > 0 || !isWhole) return issues;
  withoutEffect(loaded, payload, report);
  return issues;
}

/** `on_change` was called `notify` in an older version. */
const instead = (key: string, known: Record<string, Rule>): string =>
  key === 'notify' && Object.hasOwn(known, 'on_change')
    ? '; write `on_change: restart` or `on_change: none`'
    : didYouMean(key, Object.keys(known));

/** Valid values that have no effect where they are written. */
function withoutEffect(
  loaded: LoadedProject,
  payload: Payload,
  report: (path: KeyPath, message: string) => void,
): void {
  const { volumes = {}, services } = loaded.project;
  for (const name of Object.keys(volumes)) {
    const { adopt, prune } = settingsAt(loaded, ['volumes', name]);
    if (adopt === 'recreate' && !prune)
      report(
        ['volumes', name, KEY, 'adopt'],
        'recreating a volume deletes what is in it; say `prune: true` as well, or remove `adopt: recreate`',
      );
    if (prune && volumes[name]?.external)
      report(
        ['volumes', name, KEY, 'prune'],
        '`prune: true` has no effect on an external volume, which fairlead never deletes; remove one of them',
      );
  }
  for (const section of ['networks', 'volumes'] as const)
    for (const [name, { external }] of Object.entries(loaded.project[section] ?? {}))
      for (const key of ['mode', 'adopt'])
        if (external && SPOKEN.includes(String(saidAt(loaded, [section, name], key))))
          report(
            [section, name, KEY, key],
            `\`${key}\` has no effect on what is \`external\`, which fairlead never makes, changes or deletes; remove it`,
          );
  for (const section of ['configs', 'secrets'] as const)
    for (const [name, { file }] of Object.entries(loaded.project[section] ?? {}))
      if (file === undefined && String(saidAt(loaded, [section, name], 'decrypt')) === 'false')
        report(
          [section, name, KEY, 'decrypt'],
          '`decrypt: false` has no effect without `file`: nothing of the repository is delivered here; remove it',
        );
  // `empty: allow` always may have one: an image can bring volumes that nothing declares.
  for (const name of Object.keys(services)) {
    const problem = onChangeProblem(loaded, name, payload);
    if (problem !== null) report(['services', name, KEY, 'on_change'], problem);
  }
}

/** Values that are no spelled-out default. */
const SPOKEN = ['observe', 'recreate'];

const saidAt = ({ extension }: LoadedProject, path: KeyPath, key: string): unknown =>
  ((extension(path, KEY) ?? {}) as Record<string, unknown>)[key];

/** A path of the host may be a directory that `files` manages; only of what the repository names more is known here. */
function onChangeProblem(loaded: LoadedProject, name: string, payload: Payload): string | null {
  const told: OnChange | undefined = settingsAt(loaded, ['services', name]).onChange;
  if (told === undefined || told === 'restart') return null;
  const service = loaded.project.services[name];
  const isFile = (i: number) => {
    const repo = loaded.repoPath(['services', name, 'volumes', i, 'source']);
    return repo !== undefined && payload.has(repo);
  };
  const binds = (service?.volumes ?? []).flatMap(({ type }, i) => (type === 'bind' ? [i] : []));
  const files = (service?.configs ?? []).length + (service?.secrets ?? []).length;
  if (told === 'none')
    return binds.length + files > 0
      ? null
      : '`on_change: none` has no effect: the service mounts nothing that fairlead could change; remove it';
  if (binds.some((i) => !isFile(i))) return null;
  return binds.length + files > 0
    ? '`on_change: {signal: …}` has no effect: a file that is mounted alone keeps its old content until its container is restarted; write restart, or mount the directory'
    : '`on_change: {signal: …}` has no effect: the service mounts nothing that fairlead could change; remove it';
}
