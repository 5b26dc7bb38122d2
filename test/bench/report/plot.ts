/** A line chart as SVG text, both axes by powers of ten: how a cost grows. Pure; readable in light and dark, and without colour. */

export interface Series {
  name: string;
  points: readonly { x: number; y: number }[];
  /** Drawn thin and dashed: what fairlead is compared with. */
  isPeer: boolean;
}

export interface Plot {
  title: string;
  xLabel: string;
  yLabel: string;
  series: readonly Series[];
}

const WIDTH = 720;
const HEIGHT = 360;
/** The space for the names at the ends of the lines is on the right. */
const AREA = { left: 70, top: 44, right: 520, bottom: 300 };
const NAME_HEIGHT = 16;
const COLOURS = 4;

/** One decade of an axis below the minimum and above the maximum. */
const decades = (values: readonly number[]): { from: number; to: number } => {
  const from = Math.floor(Math.log10(Math.min(...values)));
  return { from, to: Math.max(from + 1, Math.ceil(Math.log10(Math.max(...values)))) };
};

/** @throws for values without a logarithm */
export function plotSvg({ title, xLabel, yLabel, series }: Plot): string {
  const points = series.flatMap((one) => one.points);
  if (points.some(({ x, y }) => !(x > 0 && y > 0))) throw new Error(`plot "${title}": a value is not above zero`);
  const xs = decades(points.map(({ x }) => x));
  const ys = decades(points.map(({ y }) => y));
  const atX = (x: number) => AREA.left + ((Math.log10(x) - xs.from) / (xs.to - xs.from)) * (AREA.right - AREA.left);
  const atY = (y: number) => AREA.bottom - ((Math.log10(y) - ys.from) / (ys.to - ys.from)) * (AREA.bottom - AREA.top);
  const axes = [
    ...powers(xs).map((x) => {
      const at = round(atX(x));
      return `<path class="grid" d="M${at} ${AREA.top}V${AREA.bottom}"/><text class="tick" x="${at}" y="${AREA.bottom + 18}" text-anchor="middle">${tickText(x)}</text>`;
    }),
    ...powers(ys).map((y) => {
      const at = round(atY(y));
      return `<path class="grid" d="M${AREA.left} ${at}H${AREA.right}"/><text class="tick" x="${AREA.left - 8}" y="${at + 4}" text-anchor="end">${tickText(y)}</text>`;
    }),
  ];
  const lines = series.map(({ points: own, isPeer }, index) => {
    const path = own.map(({ x, y }, i) => `${i === 0 ? 'M' : 'L'}${round(atX(x))} ${round(atY(y))}`).join('');
    const dots = own.map(({ x, y }) => `<circle cx="${round(atX(x))}" cy="${round(atY(y))}" r="3.5"/>`).join('');
    return `<g class="s${index % COLOURS}${isPeer ? ' peer' : ''}"><path d="${path}"/>${dots}</g>`;
  });
  const names = namesAt(series.map(({ points: own }) => atY(own.at(-1)?.y ?? 1))).map(
    (y, index) =>
      `<text class="n${index % COLOURS}" x="${AREA.right + 10}" y="${round(y + 4)}">${escapeXml(series[index]?.name ?? '')}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-labelledby="t">
<title id="t">${escapeXml(title)}</title>
<style>${STYLE}</style>
<text class="head" x="${AREA.left}" y="24">${escapeXml(title)}</text>
${axes.join('\n')}
${lines.join('\n')}
${names.join('\n')}
<text class="tick" x="${(AREA.left + AREA.right) / 2}" y="${HEIGHT - 20}" text-anchor="middle">${escapeXml(xLabel)}</text>
<text class="tick" transform="translate(16 ${(AREA.top + AREA.bottom) / 2}) rotate(-90)" text-anchor="middle">${escapeXml(yLabel)}</text>
</svg>
`;
}

const powers = ({ from, to }: { from: number; to: number }): number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => 10 ** (from + i));

/** 10k is ten thousand, 1M a million. */
function tickText(value: number): string {
  if (value >= 1_000_000) return `${value / 1_000_000}M`;
  return value >= 10_000 ? `${value / 1_000}k` : value.toLocaleString('en');
}

/** Moves overlapping names apart. @param wanted heights, in the order of the series */
function namesAt(wanted: readonly number[]): number[] {
  const placed: number[] = [];
  const order = wanted.map((y, index) => ({ y, index })).sort((a, b) => a.y - b.y);
  let last = Number.NEGATIVE_INFINITY;
  for (const { y, index } of order) {
    last = Math.max(y, last + NAME_HEIGHT);
    placed[index] = last;
  }
  return placed;
}

const round = (value: number): number => Math.round(value * 10) / 10;
const escapeXml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

const LIGHT = ['#0969da', '#bc4c00', '#1a7f37', '#8250df'];
const DARK = ['#4493f8', '#f0883e', '#3fb950', '#ab7df8'];
const coloured = (colours: readonly string[]): string =>
  colours.map((c, i) => `.s${i}{stroke:${c};fill:${c}}.n${i}{fill:${c}}`).join('');
const STYLE = `text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;font-size:13px}
.head{font-weight:600;font-size:15px;fill:#1f2328}.tick{fill:#59636e;font-size:12px}.grid{stroke:#d1d9e0;stroke-width:1}
g path{fill:none;stroke-width:2.4}.peer path{stroke-width:1.4;stroke-dasharray:6 4}${coloured(LIGHT)}
@media (prefers-color-scheme:dark){.head{fill:#e6edf3}.tick{fill:#9198a1}.grid{stroke:#3d444d}${coloured(DARK)}}`;
