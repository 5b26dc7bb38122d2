/** A plot over time by uPlot, which is given new data rather than made again. */
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { clocks } from '../model/words.ts';

export interface Line {
  label: string;
  values: readonly (number | null)[];
  /** Number of the colour, from 0. */
  tone: number;
}

interface PlotProps {
  /** Text alternative of the plot. */
  label: string;
  /** Seconds since 1970. */
  times: readonly number[];
  lines: readonly Line[];
  height: number;
  isStepped?: boolean;
  /** Upper end of the scale; left out: what the values need. */
  most?: number;
  format?(value: number): string;
}

export function Plot({ label, times, lines, height, isStepped = false, most = 0, format = String }: PlotProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const shape = lines.map((line) => line.label).join('\n');
  const data = [[...times], ...lines.map((line) => [...line.values])] as uPlot.AlignedData;

  useEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const dark = matchMedia('(prefers-color-scheme: dark)');
    const draw = () => {
      plot.current?.destroy();
      plot.current = new uPlot(optionsOf(element, { lines, height, isStepped, format, most }), data, element);
    };
    draw();
    const sized = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height }));
    sized.observe(element);
    dark.addEventListener('change', draw);
    return () => {
      sized.disconnect();
      dark.removeEventListener('change', draw);
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape, height, isStepped]);
  useEffect(() => {
    plot.current?.setData(data);
  }, [times, lines]);
  return <div class="plot" role="img" aria-label={label} ref={place} />;
}

type Shape = Required<Pick<PlotProps, 'lines' | 'height' | 'isStepped' | 'format' | 'most'>>;

/** Colours are those of the style sheet, as they are now: a canvas takes no variables. */
function coloursIn(element: HTMLElement): (name: string) => string {
  const probe = document.createElement('span');
  return (name) => {
    probe.style.color = `var(${name})`;
    element.append(probe);
    const { color } = getComputedStyle(probe);
    probe.remove();
    return color;
  };
}

function optionsOf(element: HTMLElement, { lines, height, isStepped, format, most }: Shape): uPlot.Options {
  const colour = coloursIn(element);
  const axis = {
    stroke: colour('--quiet'),
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { stroke: colour('--line'), width: 1 },
    font: '12px system-ui, sans-serif',
  };
  return {
    width: Math.max(200, element.clientWidth),
    height,
    legend: { show: false },
    cursor: { show: false },
    axes: [
      { ...axis, space: 64, values: (_plot, ticks) => clocks(ticks) },
      {
        ...axis,
        size: 64,
        space: 28,
        // Hosts are whole.
        incrs: isStepped ? [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000] : undefined,
        values: (_plot, ticks) => ticks.map((value) => format(value)),
      } as uPlot.Axis,
    ],
    scales: { y: { range: (_plot, _low, high) => [0, most > 0 ? most : Math.max(1, high * 1.05)] } },
    series: [
      {},
      ...lines.map((line) => ({
        label: line.label,
        stroke: colour(`--tone-${line.tone % 6}`),
        width: 2,
        points: { show: false },
        ...(isStepped && uPlot.paths.stepped ? { paths: uPlot.paths.stepped({ align: 1 }) } : {}),
      })),
    ],
  };
}
