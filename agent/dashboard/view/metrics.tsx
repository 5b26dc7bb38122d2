/** A host's metrics as small plots, since the page is open. */
import { useMemo } from 'preact/hooks';
import { spanText } from '../../core/names/span.ts';
import type { Sample } from '../model/metrics.ts';
import { bytes } from '../model/words.ts';
import { Said, Section } from './parts.tsx';
import { Plot } from './plot.tsx';

const percent = (share: number): string => `${Math.round(share * 100)} %`;

interface Gauge {
  name: string;
  lines: readonly { label: string; of: (sample: Sample) => number | null }[];
  format(value: number): string;
  /** Upper end of the scale, where there is one. */
  most?: number;
}

const GAUGES: readonly Gauge[] = [
  { name: 'Processor', lines: [{ label: 'used', of: (s) => s.cpu }], format: percent, most: 1 },
  { name: 'Memory', lines: [{ label: 'used', of: (s) => s.memory }], format: percent, most: 1 },
  { name: 'Fullest disk', lines: [{ label: 'used', of: (s) => s.disk }], format: percent, most: 1 },
  {
    name: 'Network',
    lines: [
      { label: 'received', of: (s) => s.received },
      { label: 'sent', of: (s) => s.sent },
    ],
    format: (value) => `${bytes(value)}/s`,
  },
];

export function Metrics({ samples }: { samples: readonly Sample[] }) {
  const last = samples.at(-1);
  const times = useMemo(() => samples.map(({ at }) => Math.floor(at / 1_000)), [samples]);
  if (last === undefined)
    return (
      <Section title="Metrics" id="metrics">
        <p class="quiet">The broker has no metrics of this host: it is older, or `metrics` is switched off there.</p>
      </Section>
    );
  return (
    <Section title="Metrics" id="metrics">
      <div class="gauges">
        {GAUGES.map((gauge) => (
          <GaugePlot key={gauge.name} gauge={gauge} samples={samples} times={times} last={last} />
        ))}
      </div>
      <p class="quiet">
        {last.load !== null && `Load ${last.load.toFixed(2)}. `}
        {last.uptimeSeconds !== null && `Up for ${spanText(last.uptimeSeconds * 1_000)}. `}
        {last.diskPath !== '' && (
          <>
            The fullest disk holds <Said text={last.diskPath} />.{' '}
          </>
        )}
        {samples.length < 2 && 'Plots grow while this page is open: a host reports once a minute.'}
      </p>
    </Section>
  );
}

interface GaugePlotProps {
  gauge: Gauge;
  samples: readonly Sample[];
  times: readonly number[];
  last: Sample;
}

function GaugePlot({ gauge: { name, lines, format, most = 0 }, samples, times, last }: GaugePlotProps) {
  const drawn = useMemo(
    () => lines.map(({ label, of }, tone) => ({ label, tone, values: samples.map(of) })),
    [samples],
  );
  const now = lines.map(({ label, of }) => {
    const value = of(last);
    const said = value === null ? 'not known' : format(value);
    return lines.length === 1 ? said : `${label} ${said}`;
  });
  return (
    <figure>
      <figcaption>
        {name} <strong>{now.join(', ')}</strong>
      </figcaption>
      {samples.length > 1 && (
        <Plot
          label={`${name} over time, now ${now.join(', ')}`}
          times={times}
          lines={drawn}
          height={100}
          format={format}
          most={most}
        />
      )}
    </figure>
  );
}
