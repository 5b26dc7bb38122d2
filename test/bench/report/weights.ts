/**
 * The table of limits for fairlead: each row with its target, and the figure that is compared with it. Plain data; no row is left
 * out.
 */
import { type BenchName, CATALOGUE, type FigureId } from './catalogue.ts';
import type { Statistic, Unit } from './figure.ts';

/** A ratio to the median of another figure of the same bench. */
export interface Ratio {
  times: number;
  /** Id of the other figure. */
  of: string;
  /** How people name it. */
  name: string;
}

/** What a row must reach; `atMost` is in the figure's unit. `stated`: it has no target. */
export type Target = { atMost: number } | Ratio | 'stated';

/** A row that is answered by a bench. */
export interface MeasuredWeight {
  group: string;
  what: string;
  bench: BenchName;
  figure: string;
  unit: Unit;
  statistic: Statistic;
  target: Target;
}

/** A row that no bench answers. */
export interface OtherWeight {
  group: string;
  what: string;
  target: string;
  /** Why not, and what measures it instead, if there is something. */
  why: string;
}

export type Weight = MeasuredWeight | OtherWeight;
export const isMeasured = (weight: Weight): weight is MeasuredWeight => 'bench' in weight;

interface Answer {
  what: string;
  target: Target;
  statistic?: Statistic;
}

/** Names the figures of one bench only, so that the ratio of a row is always one of the same run. */
const rowsOf =
  <B extends BenchName>(group: string, bench: B) =>
  (figure: FigureId<B>, { what, target, statistic = 'median' }: Answer): MeasuredWeight => ({
    group,
    what,
    bench,
    figure,
    unit: (CATALOGUE[bench] as Record<string, { unit: Unit }>)[figure]?.unit ?? 'ms',
    statistic,
    target,
  });

const atMost = (value: number): Target => ({ atMost: value });
const timesIn =
  <B extends BenchName>(_bench: B) =>
  (times: number, of: FigureId<B>, name: string): Target => ({ times, of, name });

const SCRIPT = 'the script';
const COMPOSE = '`docker compose up -d`';
const together = timesIn('together');
const onHost = timesIn('host');
const beside = timesIn('services');

const noop = rowsOf('no-op of 1,000 files, 50 units and 10 services, all three together', 'together');
const first = 'first convergence of the same, fsync included';
const firstOnHost = rowsOf(first, 'host');
const push = rowsOf('push notice', 'agent');
const drift = rowsOf('drift → repaired', 'drift');
const idle = rowsOf('idle, 100 resources', 'idle');
const flat = rowsOf('first pull, 10,000 hosts in one flat directory, 5 files each', 'git');
const nested = rowsOf('first pull, nested by site', 'git');
const change = rowsOf('one-host change in it, nested', 'git');
const poll = rowsOf('poll with nothing new', 'git');
const fleet = rowsOf('fleet view of 10,000 hosts', 'fleet');
const load = rowsOf('10,000 hosts at one broker', 'fleet');
const page = rowsOf('fleet view of 10,000 hosts', 'dashboard');
const services = rowsOf('services beside `docker compose up -d`', 'services');
const written = rowsOf('written to the disk', 'written');
const loading = rowsOf('compose files loaded', 'loading');

function driftRows(figure: FigureId<'drift'>, what: string, limitMs: number): MeasuredWeight[] {
  return [
    drift(figure, { what, target: atMost(limitMs) }),
    drift(figure, { what: `${what}, p99`, target: atMost(500), statistic: 'p99' }),
  ];
}

export const WEIGHTS: readonly Weight[] = [
  noop('noop.fairlead', { what: 'beside the script', target: together(1 / 6, 'noop.script', SCRIPT) }),
  noop('noop.fairlead', { what: 'beside CFEngine', target: together(1 / 40, 'noop.CFEngine', 'CFEngine') }),
  noop('noop.fairlead', { what: 'beside Puppet', target: together(1 / 200, 'noop.Puppet', 'Puppet') }),
  noop('noop.fairlead', { what: 'beside the floor', target: together(1.3, 'noop.floor', 'the floor') }),
  firstOnHost('files.first.fairlead', { what: '1,000 files', target: onHost(1.2, 'files.first.script', SCRIPT) }),
  firstOnHost('units.first.fairlead', { what: '50 units', target: onHost(1, 'units.first.script', SCRIPT) }),
  rowsOf(first, 'services')('first.fairlead', { what: '10 services', target: beside(1, 'first.compose', COMPOSE) }),
  rowsOf(first, 'together')('first.fairlead', { what: 'all three', target: together(1, 'first.script', SCRIPT) }),
  push('push.file', { what: '→ one changed file in place and reported', target: atMost(200) }),
  push('push.file', { what: '→ one changed file, p99', target: atMost(400), statistic: 'p99' }),
  push('push.service.fairlead', {
    what: '→ one service of ten recreated, running',
    target: timesIn('agent')(1.2, 'push.service.compose', COMPOSE),
  }),
  ...driftRows('file-edited', 'a file edited', 100),
  ...driftRows('file-deleted', 'a file deleted', 100),
  ...driftRows('unit-stopped', 'a unit stopped', 100),
  ...driftRows('container-killed', 'a container killed', 400),
  ...driftRows('container-removed', 'a container removed', 400),
  drift('cpu', { what: 'idle with 1,000 files, 50 units and 20 services watched', target: atMost(0.2) }),
  idle('cpu', { what: 'processor time, of one core', target: atMost(0.1) }),
  idle('anonymous.fairlead', { what: 'anonymous memory', target: atMost(30) }),
  idle('resident.fairlead', { what: 'resident memory', target: timesIn('idle')(2, 'resident.node', 'a bare `node`') }),
  rowsOf('idle, 100 resources', 'written')('day.fairlead', { what: 'disk, an idle day', target: atMost(2_000) }),
  flat('10000.first.wire.fairlead', { what: 'bytes', target: atMost(260_000) }),
  flat('10000.first.ms.fairlead', { what: 'time', target: atMost(230) }),
  nested('10000n.first.wire.fairlead', { what: '10,000 hosts, bytes', target: atMost(12_000) }),
  nested('1000000n.first.wire.fairlead', { what: '1,000,000 hosts, bytes', target: atMost(12_000) }),
  ...(['wire', 'ms', 'peak'] as const).map((cost) =>
    change(`100000n.change.${cost}.fairlead`, {
      what: `${{ wire: 'bytes', ms: 'time', peak: 'memory' }[cost]} of 100,000 hosts`,
      // "Flat" within what is noise here.
      target: timesIn('git')(1.25, `10000n.change.${cost}.fairlead`, 'that of 10,000 hosts'),
    }),
  ),
  poll('10000.poll.wire.fairlead', { what: 'bytes of bodies and headers', target: atMost(700) }),
  poll('10000.poll.requests.fairlead', { what: 'requests, on a connection that stays open', target: atMost(1) }),
  rowsOf('daemon start', 'idle')('start', { what: '→ first status published', target: atMost(600) }),
  fleet('status.10000.ms', { what: '`fleet status`, complete', target: atMost(2_000) }),
  fleet('status.10000.memory', {
    what: '`fleet status`, memory at the highest',
    target: atMost(150),
    statistic: 'high',
  }),
  page('load', { what: 'dashboard loaded', target: atMost(3_000) }),
  page('frame', { what: 'script and layout of a frame at 1,000 updates/s', target: atMost(8) }),
  page('task', { what: 'longest task at 1,000 updates/s, processor time', target: atMost(100), statistic: 'high' }),
  page('memory', { what: 'memory of the renderer', target: atMost(300) }),
  rowsOf('the whole fleet repository', 'validate')('validate.fairlead', {
    what: '`validate` of 10,000 hosts',
    target: atMost(8_000),
  }),
  {
    group: 'the whole fleet repository',
    what: '`diff` of a role change over 10,000 hosts',
    target: '≤ 15 s',
    why: 'the command comes with a later version',
  },
  services('first.fairlead', { what: 'first start of 10', target: beside(1.2, 'first.compose', COMPOSE) }),
  services('one.fairlead', { what: 'one of 10 recreated', target: beside(1.2, 'one.compose', COMPOSE) }),
  services('noop-10.fairlead', { what: 'no-op, 10', target: beside(0.2, 'noop-10.compose', COMPOSE) }),
  services('noop-100.fairlead', { what: 'no-op, 100', target: beside(0.2, 'noop-100.compose', COMPOSE) }),
  loading('large', { what: 'one stack of 200 services', target: atMost(50) }),
  loading('small', { what: '1,000 stacks of 2 services', target: atMost(2_000) }),
  written('noop', { what: 'a run that changes nothing', target: 'stated' }),
  written('repair', { what: 'the repair of one file', target: 'stated' }),
  written('commit', { what: 'a commit that changes one file', target: 'stated' }),
  load('first', { what: 'first status of all', target: 'stated' }),
  load('commit', { what: 'a commit reaches all', target: 'stated' }),
  load('storm', { what: 'a storm of reconnects: all are online again', target: 'stated' }),
  load('storm.cpu', { what: 'processor time of the broker in the storm', target: 'stated' }),
  load('rest.cpu', { what: 'processor of the broker at rest, of one core', target: 'stated' }),
  load('hour.wire', { what: 'traffic of one host in an idle hour', target: 'stated' }),
  {
    group: 'packages',
    what: '.deb packed, installed',
    target: '≤ 32 MB, ≤ 140 MB',
    why: '`npm run package -- --check` measures and holds it',
  },
  {
    group: 'demo',
    what: 'the first time, after that, `--light`',
    target: '≤ 5 min, ≤ 30 s, ≤ 10 s',
    why: '`npm run soak -- demo` plays it to its end',
  },
  {
    group: 'reader without rights',
    what: 'added to the median of a push',
    target: '≤ 50 ms',
    why: 'the agent has no way to read a pack without it; the time is part of each push above',
  },
];
