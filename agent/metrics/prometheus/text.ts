/**
 * Writes metrics in the text format of Prometheus, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). Pure.
 */

export interface Sample {
  /** Upper bounds of a histogram. */
  suffix?: '_bucket' | '_sum' | '_count';
  labels?: Readonly<Record<string, string>>;
  value: number;
}

export interface Family {
  /** With its unit, and `_total` if it is a counter. */
  name: string;
  help: string;
  type: 'counter' | 'gauge' | 'histogram';
  samples: readonly Sample[];
  /** The value changes with each run, even if the host did not change. */
  isRestless?: true;
}

export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Families without a sample are left out. */
export const renderText = (families: readonly Family[]): string =>
  families
    .filter(({ samples }) => samples.length > 0)
    .map(renderFamily)
    .join('');

const renderFamily = ({ name, help, type, samples }: Family): string =>
  [
    `# HELP ${name} ${help.toWellFormed().replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n`,
    `# TYPE ${name} ${type}\n`,
    ...samples.map(
      ({ suffix = '', labels, value }) => `${name}${suffix}${renderLabels(labels)} ${renderNumber(value)}\n`,
    ),
  ].join('');

function renderLabels(labels: Sample['labels'] = {}): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

/** Half of a surrogate pair has no form in UTF-8. */
const escapeLabel = (value: string): string =>
  value.toWellFormed().replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');

const renderNumber = (value: number): string => {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  if (value === Number.NEGATIVE_INFINITY) return '-Inf';
  return String(value);
};
