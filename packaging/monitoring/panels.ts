/** The panels of the dashboard, each with its queries. `$instance` is the reader's choice at the top. */

export interface Panel {
  title: string;
  description: string;
  look: 'number' | 'lines' | 'stack' | 'table';
  /** Of 24 columns. */
  width: number;
  unit?: string;
  /** The number is green below this value, and red from it on. */
  redFrom?: number;
  queries: readonly { expr: string; legend?: string }[];
}

export interface Row {
  title: string;
  panels: readonly Panel[];
}

/** If nothing happens, the textfile is written every five minutes: a shorter span would contain no sample. */
const SPAN = '[15m]';
const HOSTS = '{instance=~"$instance"}';
const of = (...matchers: string[]) => `{instance=~"$instance", ${matchers.join(', ')}}`;

export const ROWS: readonly Row[] = [
  {
    title: 'Fleet',
    panels: [
      number('Hosts', 'Hosts that report.', `count(fairlead_info${HOSTS})`),
      number('Failed', 'Hosts that failed, or that were rolled back to the last good commit.', {
        expr: `sum(fairlead_sync_state${of('state=~"failed|rolled-back"')})`,
        redFrom: 1,
      }),
      number('Degraded', 'Hosts on which something that is managed does not work.', {
        expr: `sum(fairlead_health_state${of('state="degraded"')})`,
        redFrom: 1,
      }),
      number('Held', 'Hosts that wait for a person or for a window.', `sum(fairlead_sync_state${of('state="held"')})`),
      number('Need a hand', 'Problems that this host or a person there must solve.', {
        expr: `sum(fairlead_problems${of('turn="host"')})`,
        redFrom: 1,
      }),
      number('To be rebooted', 'Hosts whose operating system asks for a reboot.', {
        expr: `sum(fairlead_reboot_required${HOSTS})`,
      }),
      {
        ...{ title: 'Hosts by state', description: 'How many hosts are in each state.', look: 'stack', width: 12 },
        queries: [{ expr: `sum by (state) (fairlead_sync_state${HOSTS})`, legend: '{{state}}' }],
      },
      {
        title: 'Since the last good sync',
        description: 'The ten hosts that have waited longest for a run that found all as the repository has it.',
        ...{ look: 'lines', width: 12, unit: 's' },
        queries: [
          { expr: `topk(10, time() - fairlead_last_good_sync_timestamp_seconds${HOSTS})`, legend: '{{instance}}' },
        ],
      },
      {
        title: 'Hosts that need somebody',
        description: 'Hosts that failed, were rolled back, or are held.',
        ...{ look: 'table', width: 8 },
        queries: [{ expr: `fairlead_sync_state${of('state=~"failed|rolled-back|held"')} == 1` }],
      },
      {
        title: 'Commits',
        description: 'How many hosts run which commit.',
        ...{ look: 'table', width: 8 },
        queries: [{ expr: `count by (ref, applied) (fairlead_commit_info${HOSTS})` }],
      },
      {
        title: 'Versions of fairlead',
        description: 'How many hosts run which version of the agent.',
        ...{ look: 'table', width: 8 },
        queries: [{ expr: `count by (version) (fairlead_info${HOSTS})` }],
      },
    ],
  },
  {
    title: 'Runs',
    panels: [
      {
        title: 'Runs by result',
        description: 'Runs a second of all hosts together, by the state that they came to.',
        ...{ look: 'stack', width: 12, unit: 'ops' },
        queries: [{ expr: `sum by (result) (rate(fairlead_runs_total${HOSTS}${SPAN}))`, legend: '{{result}}' }],
      },
      {
        title: 'Duration of runs',
        description: 'How long half of the runs took at most, and 99 of 100.',
        ...{ look: 'lines', width: 12, unit: 's' },
        queries: ['0.5', '0.99'].map((share) => ({
          expr: `histogram_quantile(${share}, sum by (le) (rate(fairlead_run_duration_seconds_bucket${HOSTS}${SPAN})))`,
          legend: share === '0.5' ? 'half' : '99 of 100',
        })),
      },
      {
        title: 'Drift',
        description:
          'What differed from the repository without a commit that asked for it, and what was put right, in an hour.',
        ...{ look: 'lines', width: 8 },
        queries: [
          { expr: `sum(increase(fairlead_drift_total${HOSTS}[1h]))`, legend: 'found' },
          { expr: `sum(increase(fairlead_repairs_total${HOSTS}[1h]))`, legend: 'put right' },
        ],
      },
      {
        title: 'Problems by reason',
        description: 'Problems that last now, over all hosts (docs/reasons.md).',
        ...{ look: 'lines', width: 8 },
        queries: [{ expr: `topk(10, sum by (reason) (fairlead_problem_reasons${HOSTS}))`, legend: '{{reason}}' }],
      },
      {
        title: 'Failed runs by reason',
        description: 'In an hour.',
        ...{ look: 'lines', width: 8 },
        queries: [
          {
            expr: `topk(10, sum by (reason) (increase(fairlead_run_failures_total${HOSTS}[1h])))`,
            legend: '{{reason}}',
          },
        ],
      },
    ],
  },
  {
    title: 'Agents',
    panels: [
      {
        title: 'Events that the broker has not got',
        description: 'The ten longest spools.',
        ...{ look: 'lines', width: 6 },
        queries: [{ expr: `topk(10, fairlead_outbox_events${HOSTS})`, legend: '{{instance}}' }],
      },
      {
        title: 'Agents without their broker',
        description: 'Of those whose agent.yaml names one.',
        ...{ look: 'lines', width: 6 },
        queries: [{ expr: `count(fairlead_broker_connected${HOSTS} == 0) or vector(0)`, legend: 'hosts' }],
      },
      {
        title: 'Memory',
        description: 'Of the agents that take most.',
        ...{ look: 'lines', width: 6, unit: 'bytes' },
        queries: [{ expr: `topk(10, fairlead_resident_memory_bytes${HOSTS})`, legend: '{{instance}}' }],
      },
      {
        title: 'Processor',
        description: 'Share of one core, of the agents that take most.',
        ...{ look: 'lines', width: 6, unit: 'percentunit' },
        queries: [{ expr: `topk(10, rate(fairlead_cpu_seconds_total${HOSTS}${SPAN}))`, legend: '{{instance}}' }],
      },
    ],
  },
];

function number(title: string, description: string, given: string | { expr: string; redFrom?: number }): Panel {
  const { expr, ...rest } = typeof given === 'string' ? { expr: given } : given;
  return { title, description, look: 'number', width: 4, ...rest, queries: [{ expr }] };
}
