/** Formats one event as one line. Pure. */
import type { EventDocument } from '../../../manifests-schema/payloads.ts';
import { tame } from '../../tame.ts';
import type { Style } from './table.ts';
import { clockTime, reasons, shortId, took } from './words.ts';

/** The fields of `data` that the engine writes, by the type of the event (agent/engine/run/record.ts). */
interface Data {
  resource?: string;
  op?: string;
  why?: { field: string; from?: string; to?: string }[];
  result?: string;
  error?: { code: string; message: string } | null;
  health?: string;
  message?: string;
  trigger?: string;
  sync?: string;
  commit?: string | null;
  changed?: number;
  failed?: number;
  repaired?: number;
  durationMs?: number;
  from?: string;
  to?: string;
  count?: number;
  command?: { id: string; reason: string };
}

/** Continuation lines are indented to the column of the text. */
export const EVENT_INDENT = '08:01:02Z  rollback  '.length;

export function eventText({ at, type, run, data }: EventDocument, style: Style): string {
  const number = run === null ? '' : `#${run}  `;
  return `${style.dim(`${clockTime(at).slice(11)}Z`)}  ${paint(type, style)}  ${number}${tame(about(type, data as Data))}`;
}

const WIDTH = 'rollback'.length;

function paint(type: EventDocument['type'], style: Style): string {
  const word = type.padEnd(WIDTH);
  if (type === 'rollback') return style.red(word);
  return type === 'drift' || type === 'hold' || type === 'gap' ? style.yellow(word) : style.bold(word);
}

function about(type: EventDocument['type'], d: Data): string {
  const error = d.error ? `  ${d.error.message} [${d.error.code}]` : '';
  switch (type) {
    case 'run':
      return `${d.trigger}${d.command ? ` by command ${d.command.id}` : ''}: ${d.sync}, ${shortId(d.commit)}, ${d.changed} changed, ${d.failed} failed, ${d.repaired} repaired, ${took(d.durationMs ?? 0)}${d.message ? `  ${d.message}` : ''}`;
    case 'rollback':
      return `${shortId(d.from)} → ${shortId(d.to)}  ${d.message ?? ''}`;
    case 'gap':
      return `${d.count} events were dropped: the broker was unreachable for too long`;
    default:
      // A change without an operation reports a state: nobody acted.
      if (d.op === undefined) return [d.resource, d.health, d.message].filter(Boolean).join('  ');
      return `${d.resource}  ${d.op} ${d.result}${d.why?.length ? `  ${reasons(d.why)}` : ''}${error}`;
  }
}
