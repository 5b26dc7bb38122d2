/** The release notes: the section of CHANGELOG.md about a version (https://keepachangelog.com/en/1.1.0/). Pure. */

export const UNRELEASED = 'Unreleased';

/** @returns the entries below `## [version]`, with their headings and without its own; null if there are none */
export function sectionOf(changelog: string, version: string): string | null {
  const lines = changelog.split('\n');
  const from = lines.findIndex((line) => headingOf(line) === version);
  if (from === -1) return null;
  const length = lines.slice(from + 1).findIndex((line) => line.startsWith('## '));
  const section = lines.slice(from + 1, length === -1 ? undefined : from + 1 + length);
  return section.some((line) => /^\s*[-*] /.test(line)) ? `${section.join('\n').trim()}\n` : null;
}

/** `## [1.2.0] - 2026-01-31` and `## [Unreleased]`; null for any other line. */
const headingOf = (line: string): string | null => /^## \[([^\]]+)\]/.exec(line)?.[1] ?? null;
