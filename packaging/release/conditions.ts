/** The conditions of a release. Pure, except for `readFacts`. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { sectionOf, UNRELEASED } from './notes.ts';

export interface ReleaseFacts {
  /** The version in package.json. */
  version: string;
  /** The version in package-lock.json. */
  lockedVersion: string;
  /** Changed and untracked files, as `git status --porcelain` prints them. */
  changed: readonly string[];
  /** Tags of the current commit. */
  tags: readonly string[];
  changelog: string;
  /** Whether `test/states/` has the state that an agent of this version leaves. */
  hasState: boolean;
}

/** Names that `--without` accepts: one for each condition. */
export const CONDITIONS = [
  'clean',
  'version',
  'tag',
  'changelog',
  'state',
  'check',
  'test',
  'packages',
  'key',
] as const;
export type Condition = (typeof CONDITIONS)[number];

export interface Refusal {
  condition: Condition;
  /** The error, and what to do. */
  message: string;
}

/** @returns the failed conditions for a release of this checkout; empty if there are none */
export function refusalsOf(facts: ReleaseFacts): Refusal[] {
  const { version, lockedVersion, changed, tags, changelog, hasState } = facts;
  const refusals: Refusal[] = [];
  const refuse = (condition: Condition, message: string) => refusals.push({ condition, message });
  if (changed.length > 0)
    refuse('clean', `git does not have these files as they are: ${changed.slice(0, 5).join(', ')}; commit them`);
  if (lockedVersion !== version)
    refuse('version', `package.json says ${version}, package-lock.json ${lockedVersion}; run npm version`);
  if (!tags.includes(`v${version}`)) refuse('tag', tagMessage(version, tags));
  if (sectionOf(changelog, version) === null)
    refuse('changelog', `CHANGELOG.md has no section [${version}] with entries; write one`);
  if (sectionOf(changelog, UNRELEASED) !== null)
    refuse('changelog', `CHANGELOG.md has entries below [${UNRELEASED}]; move them to [${version}]`);
  if (!hasState) refuse('state', `test/states/${version} is missing; run node test/keep-state.ts`);
  return refusals;
}

function tagMessage(version: string, tags: readonly string[]): string {
  const others = tags.filter((tag) => tag.startsWith('v'));
  const found = others.length === 0 ? 'this commit has no tag' : `this commit is tagged ${others.join(', ')}`;
  return `${found}, and package.json says ${version}; run git tag -s v${version}`;
}

/** @param root of the checkout */
export function readFacts(root: string): ReleaseFacts {
  const git = (...args: string[]) =>
    execFileSync('git', args, { cwd: root, encoding: 'utf8' }).split('\n').filter(Boolean);
  const read = (file: string) => readFileSync(path.join(root, file), 'utf8');
  const { version } = JSON.parse(read('package.json')) as { version: string };
  return {
    version,
    lockedVersion: (JSON.parse(read('package-lock.json')) as { version: string }).version,
    changed: git('status', '--porcelain').map((line) => line.slice(3)),
    tags: git('tag', '--points-at', 'HEAD'),
    changelog: read('CHANGELOG.md'),
    hasState: existsSync(path.join(root, 'test/states', version, 'history.db')),
  };
}
