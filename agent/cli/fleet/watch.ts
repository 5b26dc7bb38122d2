/** `fairlead fleet watch`: the table of a fleet that changes as its hosts report; without a terminal, a line for each change. */
import type { AgentError } from '../../errors.ts';
import { isPaused } from '../../fleet/reader/gate.ts';
import type { Way } from '../../fleet/reader/kept.ts';
import { type FleetRow, isChosen, isWell, newestCommit, select, sortRows } from '../../fleet/reader/model.ts';
import { type Context, EXIT } from '../context.ts';
import { clip } from '../text/table.ts';
import { clockTime, shortId, tone } from '../text/words.ts';
import type { BrokerFlags } from './broker-flags.ts';
import { nobody, rowsText, summary, unknownBy, whatText } from './rows-text.ts';
import { type SelectionFlags, selectionOf } from './select.ts';

export type FleetWatchFlags = BrokerFlags & SelectionFlags;

/** Minimum time between two drawings of the screen, in ms. */
const DRAW_MS = 250;
/** Ages grow while nothing is said. */
const TICK_MS = 10_000;
/** ECMA-48: another screen, without cursor; and back. */
const OPEN = '\u001b[?1049h\u001b[?25l';
const SHUT = '\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const REST_OF_LINE = '\u001b[K';
const REST_OF_SCREEN = '\u001b[J';

/** @returns 0 when the user has quit */
export async function fleetWatch(c: Context, flags: FleetWatchFlags): Promise<number> {
  const selection = await selectionOf(c, flags);
  if (selection === null) return EXIT.usage;
  const { filter, request } = selection;
  const leave = new AbortController();
  c.terminal.interrupted().addEventListener('abort', () => leave.abort(), { once: true });
  const view = c.terminal.isTTY && !c.options.json ? createScreen(c, () => leave.abort()) : createLog(c);
  let rows: ReadonlyMap<string, FleetRow> = new Map();
  /** Computed over all rows, because a host is behind only in comparison with the others. */
  const shown = () => select(sortRows(rows), filter);
  const newest = () => (filter.behind ? newestCommit(rows.values()) : null);
  try {
    await c.deps.followFleet(
      c.options,
      { ...request, signal: leave.signal },
      {
        onRead(read, way) {
          rows = read;
          view.read(() => ({ rows: shown(), fleet: rows.size, way }));
        },
        onRow: (host, row) => view.changed(host, row, () => row === null || isChosen(row, filter, newest())),
        onLost: (error, pauseMs) => view.lost(error, pauseMs),
      },
    );
  } finally {
    view.end();
  }
  return EXIT.ok;
}

interface Shown {
  rows: FleetRow[];
  fleet: number;
  way: Way;
}

interface View {
  /** The fleet was read. @param look what is to be shown at the moment at which it is asked */
  read(look: () => Shown): void;
  changed(host: string, row: FleetRow | null, isShown: () => boolean): void;
  lost(error: AgentError, pauseMs: number): void;
  end(): void;
}

const lostText = (error: AgentError, pauseMs: number): string =>
  `${error.message}; tried again in ${pauseMs / 1_000} s`;

const lineOf = (row: FleetRow, c: Context): string =>
  [
    tone(row.presence, c.style),
    tone(row.sync, c.style),
    tone(row.health, c.style),
    shortId(row.applied ?? row.commit),
    whatText(row, c.now()),
  ]
    .filter(Boolean)
    .join('  ');

/** For pipes and logs: one line, or with --json one document, for each change. */
function createLog(c: Context): View {
  const tell = (host: string, row: FleetRow | null) => {
    const at = c.now().toISOString();
    if (c.options.json) c.write(JSON.stringify({ schema: 1, at, host, row }));
    else c.say(`${c.style.dim(`${clockTime(at)}Z`)}  ${host}  ${row === null ? 'forgotten' : lineOf(row, c)}`);
  };
  return {
    read(look) {
      const { rows, fleet, way } = look();
      const well = rows.filter(isWell);
      for (const row of rows) if (c.options.json || !isWell(row) || isPaused(row)) tell(row.host, row);
      if (c.options.json) return;
      c.say(fleet === 0 ? nobody(way) : summary(rows, { fleet, shown: rows.length, well: well.length }));
      const unknown = unknownBy(way);
      if (unknown !== null) c.say(unknown);
    },
    changed(host, row, isShown) {
      if (isShown()) tell(host, row);
    },
    lost: (error, pauseMs) => c.complain(lostText(error, pauseMs)),
    end: () => undefined,
  };
}

/** A screen of its own, which is left as it was; what does not fit is reached by the arrow keys. */
function createScreen(c: Context, leave: () => void): View {
  const { terminal } = c;
  let look: (() => Shown) | null = null;
  let trouble = '';
  let top = 0;
  let due: ReturnType<typeof setTimeout> | null = null;
  let isOpen = false;

  function draw(): void {
    due = null;
    if (look === null) return;
    const { rows, fleet, way } = look();
    const well = rows.filter(isWell).length;
    const room = Math.max(1, terminal.rows - 4);
    top = Math.max(0, Math.min(top, rows.length - room));
    const body = rows.length === 0 ? [] : rowsText(rows.slice(top, top + room), c).split('\n');
    const more =
      rows.length > room ? `${top + 1} to ${Math.min(rows.length, top + room)} of ${rows.length}; arrow keys` : '';
    const lines = [
      clip(fleet === 0 ? nobody(way) : summary(rows, { fleet, shown: rows.length, well }), c.columns),
      trouble === '' ? clip(unknownBy(way) ?? '', c.columns) : c.style.red(clip(trouble, c.columns)),
      ...body,
      c.style.dim(clip(['q: leave', more].filter(Boolean).join('   '), c.columns)),
    ];
    terminal.stdout(`${HOME}${lines.map((line) => line + REST_OF_LINE).join('\n')}${REST_OF_SCREEN}`);
  }
  const soon = () => {
    due ??= setTimeout(draw, DRAW_MS);
  };
  const ticker = setInterval(soon, TICK_MS);
  const steps: Readonly<Record<string, () => number>> = {
    up: () => -1,
    down: () => 1,
    pageup: () => 4 - terminal.rows,
    pagedown: () => terminal.rows - 4,
  };
  const release = terminal.keys?.((key) => {
    if (key === 'q') leave();
    top += steps[key]?.() ?? 0;
    if (key in steps) draw();
  });
  return {
    read(given) {
      look = given;
      trouble = '';
      if (!isOpen) terminal.stdout(OPEN);
      isOpen = true;
      draw();
    },
    changed: soon,
    lost(error, pauseMs) {
      trouble = lostText(error, pauseMs);
      soon();
    },
    end() {
      clearInterval(ticker);
      if (due !== null) clearTimeout(due);
      release?.();
      if (isOpen) terminal.stdout(SHUT);
    },
  };
}
