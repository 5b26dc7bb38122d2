/** Frames of a terminal as one animated SVG without a script: a strip of frames that moves in steps. */
import type { Frame, Run, Size } from './frames.ts';

const CELL = { width: 8.4, height: 18 };
const PADDING = 14;
const TITLE_HEIGHT = 30;
/** How long the last frame stays before the recording begins again. */
const REST_MS = 6_000;

/** Colours 0 to 15 of the terminal, readable on the dark background. */
const PALETTE = [
  '#3b4252',
  '#ff7b72',
  '#7ee787',
  '#e3b341',
  '#79c0ff',
  '#d2a8ff',
  '#56d4dd',
  '#c9d1d9',
  '#6e7681',
  '#ffa198',
  '#a5f5ac',
  '#f2cc60',
  '#a5d6ff',
  '#e2c5ff',
  '#8be9f0',
  '#ffffff',
] as const;

const escapeXml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const round = (value: number): string => String(Number(value.toFixed(3)));

export interface Recording {
  frames: readonly Frame[];
  size: Size;
  /** Text of the title bar: the command that was recorded. */
  title: string;
  /** Alternative text for people who do not see the picture. */
  description: string;
}

/** The whole picture. Equal rows are written once; with reduced motion only the last frame is shown. */
export function recordingSvg({ frames, size, title, description }: Recording): string {
  const width = size.columns * CELL.width + 2 * PADDING;
  const height = size.rows * CELL.height + TITLE_HEIGHT + PADDING;
  const rows = new Map<string, number>();
  const idOf = (markup: string) => {
    const known = rows.get(markup) ?? rows.size;
    rows.set(markup, known);
    return known;
  };
  const strip = frames.map((frame, index) => {
    const uses = frame.rows.flatMap((runs, row) =>
      runs.length === 0 ? [] : [`<use href="#r${idOf(rowMarkup(runs))}" y="${row * CELL.height}"/>`],
    );
    return `<g transform="translate(${round(index * width)} 0)">${uses.join('')}</g>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${round(width)} ${height}" role="img" aria-labelledby="t d">`,
    `<title id="t">${escapeXml(title)}</title>`,
    `<desc id="d">${escapeXml(description)}</desc>`,
    '<!-- Written by `npm run recording`. -->',
    `<style>${style(frames, width)}</style>`,
    `<defs>${[...rows].map(([markup, id]) => `<g id="r${id}">${markup}</g>`).join('\n')}</defs>`,
    `<rect width="${round(width)}" height="${height}" rx="8" fill="#0d1117"/>`,
    ...['#ff5f56', '#ffbd2e', '#27c93f'].map(
      (fill, i) => `<circle cx="${20 + i * 18}" cy="16" r="5.5" fill="${fill}"/>`,
    ),
    `<text class="title" x="${round(width / 2)}" y="20" text-anchor="middle">${escapeXml(title)}</text>`,
    `<svg x="${PADDING}" y="${TITLE_HEIGHT}" width="${round(width - PADDING)}" height="${height - TITLE_HEIGHT}">`,
    `<g class="strip">${strip.join('\n')}</g>`,
    '</svg>',
    '</svg>',
    '',
  ].join('\n');
}

function rowMarkup(runs: readonly Run[]): string {
  return runs
    .map(({ column, text, colour, bold, dim }) => {
      const classes = [...(colour === undefined ? [] : [`c${colour}`]), ...(bold ? ['b'] : []), ...(dim ? ['d'] : [])];
      const look = classes.length === 0 ? [] : [`class="${classes.join(' ')}"`];
      // The length is given, so that columns stay aligned whatever the reader's font.
      const x = `x="${round(column * CELL.width)}" y="13" textLength="${round(text.length * CELL.width)}"`;
      return `<text ${[x, ...look].join(' ')}>${escapeXml(text)}</text>`;
    })
    .join('');
}

function style(frames: readonly Frame[], width: number): string {
  const first = frames[0]?.atMs ?? 0;
  const totalMs = (frames.at(-1)?.atMs ?? 0) - first + REST_MS;
  const shift = (index: number) => `transform:translateX(${round(-index * width)}px)`;
  const steps = frames.map(({ atMs }, index) => `${round(((atMs - first) / totalMs) * 100)}%{${shift(index)}}`);
  const last = shift(frames.length - 1);
  return [
    'text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#c9d1d9;white-space:pre}',
    '.title{font-size:13px;fill:#8b949e}',
    // Classes rather than attributes, because the rule for `text` would override an attribute.
    `.b{font-weight:bold}.d{opacity:.65}${PALETTE.map((fill, colour) => `.c${colour}{fill:${fill}}`).join('')}`,
    `@keyframes play{${steps.join('')}100%{${last}}}`,
    `.strip{animation:play ${totalMs}ms steps(1,end) infinite}`,
    `@media (prefers-reduced-motion:reduce){.strip{animation:none;${last}}}`,
  ].join('\n');
}
