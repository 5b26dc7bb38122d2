/** Messages in plain English: a title, and lines below it. Pure. */

import type { Message } from './memory.ts';

/** One request: one message, or several combined. */
export interface Parcel {
  id: string;
  fleet: string;
  messages: readonly Message[];
  /** Number of messages that were dropped before these, because too many waited. */
  dropped: number;
  /** When it is sent. */
  now: Date;
}

export interface Note {
  title: string;
  lines: readonly string[];
  isGood: boolean;
}

/** Messages older than this say that they are late. */
const LATE_MS = 10 * 60_000;
/** Number of messages that one request spells out. */
const SPELLED = 20;
const NAMES = 5;

export function noteOf({ messages, dropped, fleet, now }: Parcel): Note {
  const isGood = messages.every(({ occasion }) => occasion === 'recovered');
  const [first, ...others] = messages;
  if (first === undefined) return { title: `Nothing new about fleet ${fleet}`, lines: [], isGood: true };
  const lost =
    dropped > 0
      ? [
          `${count(dropped, 'earlier message')} could not be sent in time and ${dropped === 1 ? 'was' : 'were'} dropped.`,
        ]
      : [];
  if (others.length === 0) return { title: titleOf(first), lines: [...linesOf(first, fleet, now), ...lost], isGood };
  const lines = messages
    .slice(0, SPELLED)
    .map((message) => `${minuteOf(message.at)}: ${titleOf(message)}${whyInShort(message)}`);
  const rest = messages.length > SPELLED ? [`and ${count(messages.length - SPELLED, 'more message')}`] : [];
  return {
    title: `${messages.length} messages about fleet ${fleet}`,
    lines: [...lines, ...rest, ...lost, SEE],
    isGood,
  };
}

const SEE = 'What to do: `fairlead fleet status` shows all hosts, those that need somebody on top.';

export function titleOf({ occasion, hosts, hostsTotal, brief, left, more }: Message): string {
  const who = hostsTotal === 1 ? (hosts[0] ?? '') : `${hostsTotal} ${more ? 'more ' : ''}hosts`;
  const commit = brief?.commit ? `commit ${short(brief.commit)}` : 'the commit';
  const is = hostsTotal === 1 ? 'is' : 'are';
  switch (occasion) {
    case 'failed':
      return brief?.turn === 'commit'
        ? `${who}: ${commit} failed`
        : `${who}: sync failed (${brief?.reason || 'no reason given'})`;
    case 'rolled-back':
      return `${who}: ${commit} did not settle and was rolled back`;
    case 'held':
      return `${who}: ${commit} is held (${brief?.reason || 'a gate is closed'})`;
    case 'degraded':
      return `${who} ${is} not healthy: ${brief?.problems[0]?.id ?? brief?.reason ?? ''}`;
    case 'drift-storm':
      return `${who}: ${brief?.problems[0]?.id ?? 'a resource'} keeps drifting`;
    case 'offline':
      return `${who} ${is} offline`;
    case 'recovered':
      return `${who} ${is} well again${left ? `; ${left} ${left === 1 ? 'is' : 'are'} not yet` : ''}`;
  }
}

function linesOf(message: Message, fleet: string, now: Date): string[] {
  const { brief, hosts, hostsTotal, reasons } = message;
  const lines: string[] = [];
  if (hostsTotal > 1)
    lines.push(
      `Hosts: ${hosts.slice(0, NAMES).join(', ')}${hostsTotal > NAMES ? ` and ${hostsTotal - Math.min(NAMES, hosts.length)} more` : ''}`,
    );
  if (brief?.commit)
    lines.push(`Commit: ${short(brief.commit)} ${quoted(brief.subject)}${brief.author ? ` by ${brief.author}` : ''}`);
  lines.push(...whyOf(message));
  if (reasons)
    lines.push(
      `Reasons: ${reasons.map(([reason, hosts]) => `${reason || 'none'} on ${count(hosts, 'host')}`).join(', ')}`,
    );
  const advice = adviceOf(message);
  if (advice) lines.push(`What to do: ${advice}`);
  lines.push(
    `Fleet ${fleet}, ${minuteOf(message.at)}${isLate(message, now) ? `; this comes late, since it could not be sent before` : ''}`,
  );
  return lines;
}

function whyOf({ brief, occasion, example, hostsTotal }: Message): string[] {
  if (brief === null) return [];
  const { message, problems, problemsTotal } = brief;
  const why = hostsTotal > 1 ? `Why on ${example}` : 'Why';
  const named = problems.map((problem) => `${why}: ${problem.id}: ${problem.message || problem.reason}`);
  const rest = problemsTotal - problems.length;
  const all = rest > 0 ? [...named, `and ${count(rest, 'more problem')}`] : named;
  // The run itself says why it rolled back or waits; for a failed run, each problem says why.
  const isSaid = message !== '' && (occasion === 'rolled-back' || occasion === 'held' || named.length === 0);
  return isSaid ? [`${why}: ${message}`] : all;
}

function adviceOf({ occasion, brief, hostsTotal, hosts }: Message): string | null {
  const where = hostsTotal === 1 ? `on ${hosts[0]}` : 'on one of them';
  switch (occasion) {
    case 'recovered':
      return null;
    case 'rolled-back':
      return `fix it by another commit; ${hostsTotal === 1 ? 'the host runs what it' : 'these hosts run what they'} ran before.`;
    case 'offline':
      return 'see whether there is power and a network; hosts that are gone for good leave the list with `fairlead fleet forget`.';
    case 'drift-storm':
      return `find out what else changes it: \`fairlead history --resource ${brief?.problems[0]?.id ?? 'ID'}\` ${where}.`;
    case 'held':
      return `decide ${where}: \`fairlead plan\` shows what would be done, \`fairlead status\` why it waits.`;
    case 'failed':
    case 'degraded':
      if (brief?.turn === 'commit') return `fix it by another commit, or go back with \`fairlead rollback\` ${where}.`;
      return brief?.turn === 'wait'
        ? `nothing now: it is tried again; if it lasts, \`fairlead doctor\` ${where} names the cause.`
        : `see to it ${where}: \`fairlead status\` says what is needed.`;
  }
}

const whyInShort = ({ brief, occasion }: Message): string => {
  const [problem] = brief?.problems ?? [];
  if (brief === null || occasion === 'degraded' || occasion === 'drift-storm') return '';
  return problem ? ` (${problem.id}: ${problem.reason})` : '';
};

const isLate = ({ at }: Message, now: Date): boolean => now.getTime() - Date.parse(at) > LATE_MS;
const short = (commit: string): string => commit.slice(0, 7);
const quoted = (subject: string): string => (subject ? `"${subject}"` : '');
const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`;
/** `2026-11-24 08:00 UTC` */
const minuteOf = (at: string): string => `${at.slice(0, 10)} ${at.slice(11, 16)} UTC`;
