/**
 * Every figure of a bench, by bench and id. A bench can record no other (the compiler checks that), and the runner reports each
 * one that is missing. Ids that end in the name of a tool are figures of the same quantity: the tables put them side by side.
 */
import type { FigureText, Unit } from './figure.ts';

/** Tools that install files and units on a host. */
export const TOOLS = ['fairlead', 'script', 'CFEngine', 'Puppet'] as const;
export const SIZES = [10, 100, 1_000] as const;
export const FLEET_SIZES = [10, 1_000, 10_000] as const;
/** Numbers of hosts; an n at the end nests them by region and site. */
export const FLEETS = ['10', '1000', '10000', '100000', '1000n', '10000n', '100000n', '1000000n'] as const;
export const GITS = ['git-depth-1', 'git-blobless', 'git-treeless'] as const;
export const STEPS = ['first', 'other', 'change', 'role', 'poll'] as const;

export type Fleet = (typeof FLEETS)[number];
export type Step = (typeof STEPS)[number];

const beside = <Id extends string, Way extends string>(id: Id, what: string, unit: Unit, ways: readonly Way[]) =>
  Object.fromEntries(ways.map((way) => [`${id}.${way}`, { what: `${what}: ${way}`, unit }])) as Record<
    `${Id}.${Way}`,
    FigureText
  >;
const one = <Id extends string>(id: Id, what: string, unit: Unit) =>
  ({ [id]: { what, unit } }) as Record<Id, FigureText>;
const all = <Id extends string, Key extends string>(
  keys: readonly Key[],
  make: (key: Key) => Record<string, FigureText>,
): Record<Id, FigureText> => Object.assign({}, ...keys.map(make)) as Record<Id, FigureText>;

const FAIRLEAD_AND_COMPOSE = ['fairlead', 'compose'] as const;
const FAIRLEAD_AND_SCRIPT = ['fairlead', 'script'] as const;
const STEP_TEXT: Record<Step, string> = {
  first: 'first pull',
  other: 'a commit for another host',
  change: 'a commit for this host',
  role: 'a commit for its role',
  poll: 'a poll that finds nothing new',
};

export const fleetText = (fleet: Fleet): string =>
  `${Number.parseInt(fleet, 10).toLocaleString('en')} hosts, ${fleet.endsWith('n') ? 'nested' : 'flat'}`;

type Cost = 'ms' | 'wire';
const gitFigures = all<
  | `${Fleet}.${Step}.${Cost}.${'fairlead' | (typeof GITS)[number]}`
  | `${Fleet}.${Step}.${'cpu' | 'peak' | 'requests'}.fairlead`,
  `${Fleet}.${Step}`
>(
  FLEETS.flatMap((fleet) => STEPS.map((step): `${Fleet}.${Step}` => `${fleet}.${step}`)),
  (key) => {
    const [fleet, step] = key.split('.') as [Fleet, Step];
    const what = `${fleetText(fleet)}, ${STEP_TEXT[step]}`;
    return {
      ...beside(`${key}.ms`, `${what}, time`, 'ms', ['fairlead', ...GITS]),
      ...beside(`${key}.wire`, `${what}, bytes both ways`, 'B', ['fairlead', ...GITS]),
      ...beside(`${key}.cpu`, `${what}, processor time`, 'ms', ['fairlead']),
      ...beside(`${key}.peak`, `${what}, memory at its highest`, 'MB', ['fairlead']),
      ...beside(`${key}.requests`, `${what}, requests`, 'requests', ['fairlead']),
    };
  },
);

export const CATALOGUE = {
  agent: {
    ...one('first.files', 'first convergence, 1,000 files, to the last action', 'ms'),
    ...one('first.units', 'first convergence, 50 units, to the last action', 'ms'),
    ...one('first.services', 'first convergence, 10 services, to the last action', 'ms'),
    ...one('noop.files', 'no-op, 1,000 files', 'ms'),
    ...one('noop.units', 'no-op, the same and 50 units', 'ms'),
    ...one('noop.services', 'no-op, the same and 10 services', 'ms'),
    ...one('push.file', 'push notice → one changed file in place and reported', 'ms'),
    ...beside('push.service', 'push notice → one service of ten recreated, running', 'ms', FAIRLEAD_AND_COMPOSE),
  },
  drift: {
    ...one('file-edited', 'file edited → repaired', 'ms'),
    ...one('file-deleted', 'file deleted → repaired', 'ms'),
    ...one('unit-stopped', 'unit stopped → repaired', 'ms'),
    ...one('container-killed', 'container killed → repaired', 'ms'),
    ...one('container-removed', 'container removed → repaired', 'ms'),
    ...one('cpu', 'idle processor time with all of it watched, of one core', '%'),
  },
  host: {
    ...beside('files.first', '1,000 files, first convergence, in place and durable', 'ms', TOOLS),
    ...one('files.recorded', '1,000 files, first convergence, to the end of the run', 'ms'),
    ...beside('files.noop', '1,000 files, no-op', 'ms', [...TOOLS, 'floor']),
    ...beside('files.change', '1,000 files, one of them changed', 'ms', TOOLS),
    ...beside('units.first', '50 units, first convergence, in place and durable', 'ms', TOOLS),
    ...one('units.recorded', '50 units, first convergence, to the end of the run', 'ms'),
    ...beside('units.noop', '50 units, no-op', 'ms', [...TOOLS, 'floor']),
    ...beside('units.change', '50 units, one of them changed', 'ms', TOOLS),
  },
  idle: {
    ...one('start', 'daemon start → first status published', 'ms'),
    ...beside('resident', 'resident memory', 'MB', ['fairlead', 'node']),
    ...beside('anonymous', 'anonymous memory', 'MB', ['fairlead', 'node']),
    ...one('cpu', 'processor time, of one core', '%'),
  },
  services: {
    ...beside('first', 'first start of 10 services', 'ms', FAIRLEAD_AND_COMPOSE),
    ...beside('one', 'one service of 10 recreated', 'ms', FAIRLEAD_AND_COMPOSE),
    ...beside('noop-10', 'no-op, 10 services', 'ms', FAIRLEAD_AND_COMPOSE),
    ...beside('noop-100', 'no-op, 100 services', 'ms', FAIRLEAD_AND_COMPOSE),
  },
  together: {
    ...beside('noop', 'no-op of a whole host', 'ms', [...TOOLS, 'ansible-pull', 'floor']),
    ...beside('first', 'first convergence of a whole host', 'ms', [...TOOLS, 'ansible-pull']),
  },
  growth: {
    ...all<`${'noop' | 'first'}.${(typeof SIZES)[number]}.${'fairlead' | 'script'}`, `${(typeof SIZES)[number]}`>(
      SIZES.map((size): `${(typeof SIZES)[number]}` => `${size}`),
      (size) => ({
        ...beside(`noop.${size}`, `no-op, ${size} resources`, 'ms', FAIRLEAD_AND_SCRIPT),
        ...beside(`first.${size}`, `first convergence, ${size} resources`, 'ms', FAIRLEAD_AND_SCRIPT),
      }),
    ),
  },
  written: {
    ...one('noop', 'written by a run that changes nothing', 'KB'),
    ...one('repair', 'written by the repair of one file', 'KB'),
    ...one('commit', 'written by a commit that changes one file', 'KB'),
    ...beside('day', 'written in an idle day', 'KB', ['fairlead', 'host-without-it']),
  },
  fleet: {
    ...all<`status.${(typeof FLEET_SIZES)[number]}.${'ms' | 'memory'}`, `${(typeof FLEET_SIZES)[number]}`>(
      FLEET_SIZES.map((size): `${(typeof FLEET_SIZES)[number]}` => `${size}`),
      (size) => ({
        ...one(`status.${size}.ms`, `\`fleet status\` of ${size} hosts`, 'ms'),
        ...one(`status.${size}.memory`, `\`fleet status\` of ${size} hosts, its memory at the highest`, 'MB'),
      }),
    ),
    ...one('first', 'first status of all 10,000 connected hosts, from their start', 's'),
    ...one('first.connections', 'connections in that time', '/s'),
    ...one('first.cpu', 'processor time of the broker for it', 's'),
    ...one('broker.host', 'memory of the broker for one host', 'KB'),
    ...one('rest.cpu', 'the fleet at rest: processor of the broker, of one core', '%'),
    ...one('rest.memory', 'the fleet at rest: memory of the broker', 'MB'),
    ...one('connected.ms', '`fleet status` while all are connected, no row missing', 'ms'),
    ...one('connected.memory', '`fleet status` while all are connected, its memory at the highest', 'MB'),
    ...one('commit', 'a commit to all: push notice → last status', 's'),
    ...one('commit.cpu', 'a commit to all: processor time of the broker', 's'),
    ...one('storm', 'the broker restarts empty → all are online', 's'),
    ...one('storm.peak', 'connections in the storm, at most', '/s'),
    ...one('storm.tries', 'connections made in the storm, of the number of hosts', '%'),
    ...one('storm.cpu', 'processor time of the broker in the storm', 's'),
    ...one('storm.memory', 'memory of the broker in the storm, at the highest', 'MB'),
    ...one('hour.mqtt', 'an idle hour of one host: MQTT, both ways', 'KB'),
    ...one('hour.wire', 'an idle hour of one host, with headers of TCP and IP', 'KB'),
  },
  dashboard: {
    ...one('load', 'page of 10,000 hosts, from its address to live', 'ms'),
    ...one('load.cpu', 'processor time of its thread for it', 'ms'),
    ...one('updates', 'updates taken while somebody scrolls', '/s'),
    ...one('frame', 'script and layout of a frame', 'ms'),
    ...one('task', 'longest task, processor time', 'ms'),
    ...one('frames', 'frames', '/s'),
    ...one('memory', 'memory of the renderer (PSS)', 'MB'),
  },
  git: {
    ...gitFigures,
    ...one('start', 'start of a process of fairlead', 'ms'),
    ...one('payload.0.first', '`agent --once`, nothing but manifests: memory at the highest', 'MB'),
    ...one('payload.0.again', '`agent --once`, the same again: memory at the highest', 'MB'),
    ...one('payload.60.first', '`agent --once`, a payload file of 60 MiB: memory at the highest', 'MB'),
    ...one('payload.60.again', '`agent --once`, the same again with it: memory at the highest', 'MB'),
  },
  validate: {
    ...beside('validate', '`validate` of 10,000 small hosts', 'ms', ['fairlead', 'floor']),
  },
  loading: {
    ...one('large', 'a stack of 200 services loaded, processor time', 'ms'),
    ...one('small', '1,000 stacks of 2 services loaded, processor time', 'ms'),
  },
} as const satisfies Record<string, Record<string, FigureText>>;

export type BenchName = keyof typeof CATALOGUE;
export type FigureId<B extends BenchName> = keyof (typeof CATALOGUE)[B] & string;

export const BENCH_NAMES = Object.keys(CATALOGUE) as BenchName[];

/** The figures of a bench, looked up by a name that the compiler does not know. */
export const figuresOf = (bench: BenchName): Readonly<Record<string, FigureText>> => CATALOGUE[bench];
