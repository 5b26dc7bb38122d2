/** Progress: one line at the bottom of a terminal that is redrawn; in a pipe, one plain line for each new state. */
import type { SyncLine } from '../../control/protocol.ts';
import { tame, tamed } from '../../tame.ts';
import type { Context } from '../context.ts';
import { actionText } from '../text/print.ts';
import { clip, wrap } from '../text/table.ts';

type Phase = Extract<SyncLine, { type: 'phase' }>;
type Pull = Extract<SyncLine, { type: 'progress' }>;

export interface Live {
  take(line: SyncLine): void;
  /** Removes the line from the screen. */
  end(): void;
}

const TICK_MS = 1_000;
/** A wait shorter than this shows no clock, in ms. */
const QUIET_MS = 2_000;
/** At most this many waits are named; the others are counted. */
const NAMED = 3;

const WORDS: Record<string, string> = {
  queue: 'waiting for the current run',
  fetch: 'asking the repository',
  plan: 'observing the host',
  prepare: 'preparing',
  apply: 'applying',
  settle: 'waiting for resources to become healthy',
};

export function createLive(c: Context): Live {
  const { isTTY } = c.terminal;
  const pulls = new Map<string, Pull>();
  let said = '';
  let since = 0;
  let key = '';
  let drawn = false;

  const erase = () => {
    if (drawn) c.terminal.stdout('\r\u001b[K');
    drawn = false;
  };
  const draw = () => {
    erase();
    if (said === '') return;
    const tookMs = c.now().getTime() - since;
    const clock = tookMs >= QUIET_MS ? ` (${Math.floor(tookMs / 1_000)} s)` : '';
    c.terminal.stdout(`${clip(said, c.columns - 1 - clock.length).trimEnd()}${clock}`);
    drawn = true;
  };
  /** @param about what makes it a new thing, rather than the same one further on */
  const now = (text: string, about: string) => {
    const isNew = about !== key;
    key = about;
    said = tame(text);
    if (isNew) since = c.now().getTime();
    if (isTTY) draw();
    else if (isNew) c.say(`${said} …`);
  };
  /** A line of its own, above what goes on. */
  const stays = (text: string) => {
    erase();
    c.say(wrap(text, c.columns, 4));
    if (isTTY) draw();
  };
  const ticker = isTTY ? setInterval(draw, TICK_MS) : null;

  return {
    take(given) {
      const line = tamed(given);
      if (line.type === 'action') stays(actionText(line.action, c.style));
      else if (line.type === 'phase' && line.phase === 'rollback') {
        said = '';
        stays(c.style.yellow(`rolling back: ${tame(line.detail ?? '')}`));
      } else if (line.type === 'phase') {
        if (line.phase !== 'prepare') pulls.clear();
        now(phaseText(line), `${line.phase} ${line.detail ?? ''}`);
      } else if (line.type === 'progress') {
        pulls.set(line.image, line);
        if (isTTY) now([...pulls.values()].map(pullText).join(', '), 'pull');
        else now(pullText(line), pullStep(line));
      }
    },
    end() {
      if (ticker) clearInterval(ticker);
      erase();
      said = '';
    },
  };
}

function phaseText({ phase, detail, waiting }: Phase): string {
  if (waiting && waiting.length > 0) {
    const named = waiting.slice(0, NAMED).map(({ id, message }) => (message ? `${id}: ${message}` : id));
    const more = waiting.length > NAMED ? ` and ${waiting.length - NAMED} more` : '';
    return `waiting for ${named.join('; ')}${more}`;
  }
  return detail ? `waiting for ${detail}` : (WORDS[phase] ?? phase);
}

const mega = (bytes: number): string => (bytes / 1e6).toFixed(1);

const pullText = ({ image, doneBytes, totalBytes }: Pull): string =>
  totalBytes > 0 ? `pulling ${image}  ${mega(doneBytes)} of ${mega(totalBytes)} MB` : `pulling ${image}`;

/** In a log there is room for quarters. */
const pullStep = ({ image, doneBytes, totalBytes }: Pull): string =>
  `pull ${image} ${totalBytes > 0 ? Math.floor((4 * doneBytes) / totalBytes) : 0}`;
