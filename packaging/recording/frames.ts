/**
 * What a terminal showed, computed from a program's output with its times: the typescript and timing file of script(1) become
 * frames.
 */
import xterm from '@xterm/headless';

/** Bytes that arrived together, and the time since the previous ones. */
export interface Chunk {
  delayMs: number;
  data: Uint8Array;
}

/** Neighbouring characters with the same attributes. */
export interface Run {
  column: number;
  text: string;
  /** One of a terminal's 16 colours; absent for the default colour. */
  colour?: number;
  bold: boolean;
  dim: boolean;
}

/** The screen, from this time until that of the next frame. */
export interface Frame {
  atMs: number;
  rows: readonly (readonly Run[])[];
}

export interface Size {
  columns: number;
  rows: number;
}

/** Chunks that are closer than this become one frame, because nobody sees them apart. */
const TOGETHER_MS = 60;
/** Longer pauses are shortened to this. */
const LONGEST_PAUSE_MS = 2_000;

/** Reads the output of `script --log-out --log-timing` (script(1), classic timing format): a heading line, then the bytes. */
export function readScript(typescript: Uint8Array, timing: string): Chunk[] {
  let at = typescript.indexOf(0x0a) + 1;
  return timing
    .split('\n')
    .filter((line) => /^[\d.]+ \d+$/.test(line))
    .map((line) => {
      const [seconds = '0', bytes = '0'] = line.split(' ');
      const data = typescript.subarray(at, at + Number(bytes));
      at += data.length;
      return { delayMs: Number(seconds) * 1000, data };
    });
}

/** Plays chunks into a terminal of this size and returns what it showed. Long pauses are shortened, the order is kept. */
export async function framesOf(chunks: readonly Chunk[], size: Size): Promise<Frame[]> {
  const terminal = new xterm.Terminal({ cols: size.columns, rows: size.rows, scrollback: 0, allowProposedApi: true });
  const frames: Frame[] = [];
  let now = 0;
  for (const [index, { delayMs, data }] of chunks.entries()) {
    now += Math.min(delayMs, LONGEST_PAUSE_MS);
    await new Promise<void>((resolve) => terminal.write(data, resolve));
    const next = chunks[index + 1];
    if (next === undefined || next.delayMs >= TOGETHER_MS)
      frames.push({ atMs: Math.round(now), rows: screen(terminal) });
  }
  terminal.dispose();
  return frames;
}

function screen(terminal: xterm.Terminal): Run[][] {
  const buffer = terminal.buffer.active;
  return Array.from({ length: terminal.rows }, (_, row) => {
    const line = buffer.getLine(buffer.viewportY + row);
    const runs: Run[] = [];
    for (let column = 0; line !== undefined && column < terminal.cols; column++) {
      const cell = line.getCell(column);
      const text = cell?.getChars() || ' ';
      const look = {
        ...(cell?.isFgPalette() ? { colour: cell.getFgColor() } : {}),
        bold: Boolean(cell?.isBold()),
        dim: Boolean(cell?.isDim()),
      };
      const last = runs.at(-1);
      if (last && last.colour === look.colour && last.bold === look.bold && last.dim === look.dim) last.text += text;
      else runs.push({ column, text, ...look });
    }
    return runs.map((run) => ({ ...run, text: run.text.trimEnd() })).filter((run) => run.text !== '');
  });
}
