/** The conditions of a release, and its notes. Signatures and the repository are in lab/release.test.ts. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { type ReleaseFacts, readFacts, refusalsOf } from '../../packaging/release/conditions.ts';
import { sectionOf } from '../../packaging/release/notes.ts';

const CHANGELOG = `# Changelog

## [Unreleased]

## [1.1.0] - 2026-02-01

### Added

- A second thing.

### Fixed

- \`## [1.0.0]\` in a text is no heading.

## [1.0.0] - 2026-01-01

- A first thing.
`;

test('the notes of a version are exactly its section of the changelog', () => {
  const notes = sectionOf(CHANGELOG, '1.1.0');
  expect(notes).toMatch(/^### Added\n\n- A second thing\./);
  expect(notes).toMatch(/no heading\.\n$/);
});

test('the last section ends with the file', () => {
  expect(sectionOf(CHANGELOG, '1.0.0')).toBe('- A first thing.\n');
});

test.each(['2.0.0', 'Unreleased', '1.1'])('a section without entries does not count: %s', (version) => {
  expect(sectionOf(CHANGELOG, version)).toBeNull();
});

const READY: ReleaseFacts = {
  version: '1.1.0',
  lockedVersion: '1.1.0',
  changed: [],
  tags: ['v1.1.0'],
  changelog: CHANGELOG,
  hasState: true,
};
const refusedFor = (facts: Partial<ReleaseFacts>) =>
  refusalsOf({ ...READY, ...facts }).map(({ condition }) => condition);

test('a checkout that is tagged, described and clean may be released', () => {
  expect(refusalsOf(READY)).toEqual([]);
});

test.each<[string, Partial<ReleaseFacts>, string[]]>([
  ['a changed file', { changed: ['agent/main.ts'] }, ['clean']],
  ['no tag', { tags: [] }, ['tag']],
  ['a tag of another version', { tags: ['v1.0.0', 'keep'] }, ['tag']],
  ['another version in the lock file', { lockedVersion: '1.0.0' }, ['version']],
  ['a missing section', { version: '1.2.0', lockedVersion: '1.2.0', tags: ['v1.2.0'] }, ['changelog']],
  ['entries without a version', { changelog: CHANGELOG.replace('[Unreleased]', '$&\n\n- New') }, ['changelog']],
  ['a missing state of this version', { hasState: false }, ['state']],
])('a release is refused for %s', (_, facts, conditions) => {
  expect(refusedFor(facts)).toEqual(conditions);
});

test('all failed conditions are reported at once', () => {
  expect(refusedFor({ changed: ['a'], tags: [], hasState: false })).toEqual(['clean', 'tag', 'state']);
});

/** A checkout with the files that a release reads. */
function checkout(version: string) {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-release-'));
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=Ben', '-c', 'user.email=ben@example.com', '-C', dir, ...args]);
  const put = (file: string, content: string) => {
    mkdirSync(path.dirname(path.join(dir, file)), { recursive: true });
    writeFileSync(path.join(dir, file), content);
  };
  put('package.json', JSON.stringify({ version }));
  put('package-lock.json', JSON.stringify({ version }));
  put('CHANGELOG.md', CHANGELOG);
  put(`test/states/${version}/history.db`, '');
  git('init', '-q', '-b', 'main');
  git('add', '-A');
  git('commit', '-qm', 'First');
  return { dir, git, put };
}

test('a tagged checkout is read', () => {
  const { dir, git } = checkout('1.1.0');
  git('tag', 'v1.1.0');
  expect(refusalsOf(readFacts(dir))).toEqual([]);
});

test('an untracked file, and a tag of the previous commit, are detected', () => {
  const { dir, git, put } = checkout('1.1.0');
  git('tag', 'v1.1.0');
  git('commit', '-qm', 'Second', '--allow-empty');
  put('notes.txt', '');
  expect(refusalsOf(readFacts(dir)).map(({ condition }) => condition)).toEqual(['clean', 'tag']);
});
