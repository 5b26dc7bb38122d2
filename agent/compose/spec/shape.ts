/** The vocabulary in which spec.ts writes down the Compose Specification: one table for every stage of the loader. */
import type { ScalarType } from '../yaml/node.ts';

/** The form that a value has in the normalised model. Names are those of Compose's own types if it has one. */
export type Output =
  | 'string'
  | 'bool'
  | 'int'
  | 'uint'
  | 'fileMode'
  | 'float32'
  | 'bytes'
  | 'duration'
  | 'count'
  | 'command'
  | 'test'
  | 'labels'
  | 'mapping'
  | 'environment'
  | 'options'
  | 'hosts'
  | 'strings'
  | 'ulimit'
  | 'cpus'
  | 'plain'
  | 'drop';

/**
 * How the values of two files are merged. Without a rule mappings are merged by key, lists are concatenated, and of other
 * values the later one wins.
 */
export type MergeRule =
  | 'sequence'
  | 'replace'
  | 'depends_on'
  | 'networks'
  | 'extra_hosts'
  | 'logging'
  | 'ipam'
  | 'build'
  | 'ulimit';

/** The identity of a list item: of two items with the same identity the later one stays, in the earlier one's position. */
export type Identity = 'key' | 'target' | 'device' | 'config' | 'secret' | 'port' | 'path' | 'expose';

/** Expands the short form to the long form. */
export type LongForm =
  | 'depends_on'
  | 'device'
  | 'env_file'
  | 'external'
  | 'extends'
  | 'gpus'
  | 'keyed'
  | 'list'
  | 'mount'
  | 'networks'
  | 'ports'
  | 'source'
  | 'context';

export interface Shape {
  /** Scalar types it may have; none if it cannot be a scalar. JSON Schema's `number` is int and float. */
  types: readonly ScalarType[];
  enum?: readonly string[];
  /** The format of a string, and how an error describes it. */
  pattern?: { match: RegExp; says: string };
  min?: number;
  max?: number;
  /** Strings are turned into this once their variables are filled in. */
  cast?: 'int' | 'float' | 'bool';

  props?: Record<string, Shape>;
  /** Every key that matches has this shape. */
  keys?: { match: RegExp; value: Shape };
  /** Keys that are not in the table are allowed, and mean nothing. */
  open?: boolean;
  /** `x-…` keys are allowed. */
  extensible?: boolean;
  required?: readonly string[];

  items?: Shape;
  unique?: boolean;

  merge?: MergeRule;
  identity?: Identity;
  longForm?: LongForm;
  out?: Output;
  /** Shown even when it is false, 0 or empty: Compose tells "not set" from these. */
  keep?: boolean;
  /** Name in the normalised model, where it differs. */
  outName?: string;

  /** Younger than the oracle (docker compose 2.40). */
  young?: boolean;
  /** Why no engine can honour it, and what to do instead. */
  refuse?: string;
  /** Why `docker compose up` passes over it: a warning. */
  passOver?: string;
}

type More = Partial<Shape>;
const scalar =
  (types: readonly ScalarType[], base: More) =>
  (more: More = {}): Shape => ({ types, ...base, ...more });

export const str = scalar(['string'], { out: 'string' });
export const boolean = scalar(['bool'], { out: 'bool' });
export const boolOr = scalar(['bool', 'string'], { out: 'bool' });
export const intOr = scalar(['int', 'string'], { out: 'int' });
export const numberOr = scalar(['int', 'float', 'string'], { out: 'int' });
export const number = scalar(['int', 'float'], { out: 'int' });
export const duration = scalar(['string'], { out: 'duration' });
export const bytes = scalar(['int', 'float', 'string'], { out: 'bytes' });

export const object = (props: Record<string, Shape>, more: More = {}): Shape => ({
  types: [],
  props,
  extensible: true,
  ...more,
});
export const list = (items: Shape, more: More = {}): Shape => ({ types: [], items, ...more });
export const dictionary = (match: RegExp, value: Shape, more: More = {}): Shape => ({
  types: [],
  keys: { match, value },
  ...more,
});
export const nullable = (shape: Shape): Shape => ({ ...shape, types: [...shape.types, 'null'] });

export const strings = (more: More = {}): Shape => list(str(), { unique: true, out: 'strings', ...more });
export const stringOrList = (more: More = {}): Shape => ({ ...strings(more), types: ['string'] });
export const NAME = /^[a-zA-Z0-9._-]+$/;
export const ANY = /[\s\S]/;
export const NOT_NULL: readonly ScalarType[] = ['string', 'int', 'float', 'bool'];

/** A mapping, or a list of `KEY=value`. */
export const keyed = (out: Output, more: More = {}): Shape => ({
  types: [],
  keys: { match: ANY, value: { types: [...NOT_NULL, 'null'], out: 'plain' } },
  items: str(),
  unique: true,
  out,
  ...more,
});
/** Such a one that several files write together. */
export const joined = (out: Output, more: More = {}): Shape =>
  keyed(out, { identity: 'key', merge: 'sequence', ...more });
/** Host names with one address or several. */
export const hosts = (): Shape => ({
  ...keyed('hosts', { merge: 'extra_hosts' }),
  keys: { match: ANY, value: { ...list(str()), types: ['string'] } },
});
/** Options that are passed on as they are. */
export const options = (types: readonly ScalarType[], more: More = {}): Shape =>
  dictionary(ANY, { types, out: 'plain' }, { out: 'options', ...more });
export const command = (more: More = {}): Shape => ({
  ...list(str(), { out: 'command', keep: true, ...more }),
  types: ['string', 'null'],
});

/** Every path of a shape: `services.*.ports[].target`. Keys of one's own are `*`, items `[]`. */
export function pathsOf(shape: Shape, at = ''): { path: string; shape: Shape }[] {
  const below: { path: string; shape: Shape }[] = [];
  const join = (key: string) => (at === '' ? key : `${at}.${key}`);
  for (const [key, value] of Object.entries(shape.props ?? {}))
    below.push(...pathsOf(inherit(shape, value), join(key)));
  if (shape.keys) below.push(...pathsOf(inherit(shape, shape.keys.value), join('*')));
  if (shape.items) below.push(...pathsOf(inherit(shape, shape.items), `${at}[]`));
  return at === '' ? below : [{ path: at, shape }, ...below];
}

const inherit = (parent: Shape, shape: Shape): Shape => ({
  ...shape,
  ...(parent.young ? { young: true } : {}),
  ...(parent.passOver ? { passOver: parent.passOver } : {}),
  ...(parent.refuse && !shape.refuse ? { refuse: parent.refuse } : {}),
});
