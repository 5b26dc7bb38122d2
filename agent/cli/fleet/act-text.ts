/** Texts of the commands that act on a fleet. Pure. */
import type { CommandName, Outcome } from '../../../manifests-schema/command-names.ts';
import type { HostOutcome } from '../../fleet/act/outcome.ts';
import type { FleetRow } from '../../fleet/reader/model.ts';
import { table } from '../text/table.ts';
import { type Reader, shortId, tone } from '../text/words.ts';

/** Hosts that are listed before they are touched; of more, those that need somebody come first. */
const LISTED = 50;
/** Actions of a plan that are named. */
const ACTIONS = 5;

export interface Preview {
  chosen: readonly FleetRow[];
  /** The hosts among them that cannot be asked. */
  barred: readonly HostOutcome[];
  hosts: readonly string[];
  command: CommandName;
  args: Readonly<Record<string, string | boolean>>;
}

const hostsText = (n: number): string => `${n} ${n === 1 ? 'host' : 'hosts'}`;

export function previewText({ chosen, barred, hosts, command, args }: Preview, page: Reader): string {
  if (chosen.length === 0) return 'No host is chosen by that.';
  const why = new Map(barred.map(({ host, outcome }) => [host, outcome === 'away' ? 'offline' : 'commands off']));
  const cells = chosen
    .slice(0, LISTED)
    .map((row) => [
      row.host,
      row.presence,
      row.sync,
      row.health,
      shortId(row.applied ?? row.commit),
      why.get(row.host) ? `not asked: ${why.get(row.host)}` : row.message || row.subject,
    ]);
  const paint = (cell: string, column: number) => (column >= 1 && column <= 3 ? tone(cell, page.style) : cell);
  const more = chosen.length > LISTED ? [`… and ${hostsText(chosen.length - LISTED)} more`] : [];
  const said = Object.entries(args).map(([key, value]) => (value === true ? key : `${key} ${value}`));
  const with_ = said.length > 0 ? ` (${said.join(', ')})` : '';
  const counts = [...new Set(why.values())].map(
    (word) => `${[...why.values()].filter((w) => w === word).length} ${word}`,
  );
  const not = counts.length > 0 ? `; not asked: ${counts.join(', ')}` : '';
  return [
    table(['HOST', 'PRESENCE', 'SYNC', 'HEALTH', 'COMMIT', 'WHAT'], cells, page, paint),
    ...more,
    '',
    `${command}${with_}: ${hostsText(hosts.length)}${not}`,
  ].join('\n');
}

const WORDS: Record<Outcome, string> = {
  done: 'done',
  unwell: 'done, not well',
  failed: 'failed',
  refused: 'refused',
  silent: 'no answer',
  late: 'still at it',
  unheard: 'not delivered',
  open: 'asked, not awaited',
  'not-asked': 'not asked',
  stopped: 'not asked',
  away: 'not asked: offline',
  off: 'not asked: commands off',
};

function painted(outcome: Outcome, { style }: Reader): string {
  const word = WORDS[outcome];
  if (outcome === 'done') return style.green(word);
  return ['unwell', 'failed', 'refused', 'unheard'].includes(outcome) ? style.red(word) : style.yellow(word);
}

/** One line for each host, when it ends. */
export function outcomeText(one: HostOutcome, page: Reader): string {
  const { status, pin, reason, message } = one;
  const how = status
    ? `${tone(status.sync, page.style)}, ${tone(status.health, page.style)}  ${shortId(status.commit)}`
    : '';
  const run = status?.run ? `${status.run.changed} changed, ${status.run.failed} failed` : '';
  const pinned = pin && status ? `pinned to ${shortId(pin)}` : '';
  const said = message && one.outcome !== 'done' ? `${message}${reason ? ` [${reason}]` : ''}` : message;
  return [one.host, painted(one.outcome, page), how, run, pinned, said].filter(Boolean).join('  ');
}

/** The changes that a sync would make, a summary first. */
export function planOutcomeText(one: HostOutcome, page: Reader): string {
  const { plan } = one;
  if (plan === null || one.outcome !== 'done') return outcomeText(one, page);
  const counts = Object.entries(plan.counts).map(([op, n]) => `${n} to ${op}`);
  const what = counts.length > 0 ? counts.join(', ') : 'nothing to change';
  const held = plan.held ? `  ${page.style.yellow('held')}: ${plan.held}` : '';
  const errors = plan.issuesTotal > 0 ? `  ${plan.issuesTotal} issues` : '';
  const actions = plan.actions
    .slice(0, ACTIONS)
    .map(({ id, op, why }) => `    ${op}  ${id}${why.length > 0 ? `  ${why.join('; ')}` : ''}`);
  const more = plan.actionsTotal > ACTIONS ? [`    … ${plan.actionsTotal - ACTIONS} more`] : [];
  return [`${one.host}  ${shortId(plan.commit)}  ${what}${errors}${held}`, ...actions, ...more].join('\n');
}

export function summaryText(outcomes: readonly HostOutcome[], page: Reader): string {
  const counts = new Map<Outcome, number>();
  for (const { outcome } of outcomes) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  const parts = [...counts].map(([outcome, n]) => `${n} ${painted(outcome, page)}`);
  const left = outcomes.filter(({ outcome }) => outcome === 'open' || outcome === 'not-asked');
  const names = (of: Outcome) => left.filter(({ outcome }) => outcome === of).map(({ host }) => host);
  const listOf = (title: string, hosts: readonly string[]) =>
    hosts.length === 0
      ? []
      : [
          `${title}: ${hosts.slice(0, LISTED).join(', ')}${hosts.length > LISTED ? ` and ${hosts.length - LISTED} more` : ''}`,
        ];
  return [
    '',
    `${hostsText(outcomes.length)}: ${parts.join(', ') || 'nothing to do'}`,
    ...listOf('Asked, and not waited for', names('open')),
    ...listOf('Not asked', names('not-asked')),
  ].join('\n');
}
