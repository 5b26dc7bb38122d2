/** Issues as text for people, and as CI systems take them. Pure. */
import { formatIssue } from '../../../manifests-schema/issue.ts';
import type { FleetIssue } from '../../repo/validate.ts';
import { tamed } from '../../tame.ts';
import type { Style } from '../text/table.ts';

export const FORMATS = ['text', 'github', 'gitlab', 'json'] as const;
export type Format = (typeof FORMATS)[number];

/** Hosts that are named; the others are only counted. */
const SHOWN_HOSTS = 3;

export function issuesText(issues: readonly FleetIssue[], style: Style): string {
  return tamed(issues)
    .map((issue) => {
      const severity = issue.severity === 'error' ? style.red('error') : style.yellow('warning');
      const { file, line, column, message } = issue;
      const own = issue.hosts.length === 1 && file.startsWith(`${issue.hosts[0]}/`);
      const shown = issue.hosts.slice(0, SHOWN_HOSTS).join(', ');
      const more = issue.hosts.length > SHOWN_HOSTS ? ` and ${issue.hosts.length - SHOWN_HOSTS} more` : '';
      return `${file}:${line}:${column}: ${severity}: ${message}${own || shown === '' ? '' : `  [${shown}${more}]`}`;
    })
    .join('\n');
}

/** Workflow commands: docs.github.com, "Workflow commands for GitHub Actions". */
export const githubText = (issues: readonly FleetIssue[]): string =>
  tamed(issues)
    .map((issue) => {
      const place = `file=${property(issue.file)},line=${issue.line},col=${issue.column},title=${property(issue.key || 'fairlead')}`;
      return `::${issue.severity} ${place}::${data(issue.message)}`;
    })
    .join('\n');

const data = (text: string) => text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
const property = (text: string) => data(text).replaceAll(':', '%3A').replaceAll(',', '%2C');

/** A Code Quality report: docs.gitlab.com, "Code Quality report format". @param digest of a text, hex */
export const gitlabReport = (issues: readonly FleetIssue[], digest: (text: string) => string) =>
  issues.map((issue) => ({
    description: issue.message,
    check_name: 'fairlead',
    fingerprint: digest(formatIssue(issue)),
    severity: issue.severity === 'error' ? 'blocker' : 'minor',
    location: { path: issue.file, lines: { begin: issue.line } },
  }));
