/** YAML text → trees with places, one for each document. Never throws; hostile input is an issue, not a hang. Pure. */
import { EVENT_ID, type Event, getScalarValue, parseEvents, SCALAR_STYLE, YAMLException } from 'js-yaml';
import type { Issue } from '../../core/types.ts';
import { indentFlow } from './flow.ts';
import { issue, type MapNode, type Node, type Place, position, type ScalarNode, type Source } from './node.ts';
import { resolvePlain } from './scalars.ts';

/** Far more than a compose file needs, far less than an alias bomb expands to. */
const LIMITS = { characters: 4 * 1024 * 1024, depth: 100, values: 200_000 };

export interface YamlDocument {
  /** undefined if the document is empty. */
  root: Node | undefined;
  /** Positions of `!reset` and `!override`: they drop what an earlier file says there. */
  resets: (readonly string[])[];
}

class YamlError extends Error {
  readonly offset: number;
  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

interface Building extends YamlDocument {
  source: Source;
  content: string;
  original(offset: number): number;
  events: readonly Event[];
  next: number;
  /** undefined while the anchored value is still being built. */
  anchors: Map<string, { node: Node | undefined; size: number; reset: boolean }>;
  /** Values so far, aliases counted with all they stand for. */
  size: number;
}

export function readYaml(source: Source, content: string): { documents: YamlDocument[]; issues: Issue[] } {
  const fail = (offset: number, message: string) => ({
    documents: [],
    issues: [issue({ source, offset }, '', message)],
  });
  if (content.length > LIMITS.characters)
    return fail(0, `has ${content.length} characters; a compose file may have ${LIMITS.characters} at most`);
  const { events, text, original, error } = parse(content);
  if (error) return fail(original(error.mark?.position ?? 0), `is not valid YAML: ${error.reason}`);
  try {
    return { documents: buildAll({ source, content: text, original, events }), issues: [] };
  } catch (thrown) {
    if (thrown instanceof YamlError) return fail(thrown.offset, thrown.message);
    throw thrown;
  }
}

interface Parsing {
  events: readonly Event[];
  /** The text that the offsets of the events refer to. */
  text: string;
  original(offset: number): number;
  error?: YAMLException;
}

function parse(content: string): Parsing {
  const attempt = (text: string, original: Parsing['original']): Parsing => {
    try {
      return { text, original, events: parseEvents(text, { maxDepth: LIMITS.depth }) };
    } catch (thrown) {
      if (thrown instanceof YAMLException) return { text, original, events: [], error: thrown };
      throw thrown;
    }
  };
  const first = attempt(content, (offset) => offset);
  const moved = first.error?.reason === 'deficient indentation' ? indentFlow(content) : null;
  if (moved === null) return first;
  const second = attempt(moved.text, moved.original);
  return second.error ? first : second;
}

function buildAll(given: Pick<Building, 'source' | 'content' | 'original' | 'events'>): YamlDocument[] {
  const { events } = given;
  const documents: YamlDocument[] = [];
  const building: Building = {
    ...given,
    next: 0,
    anchors: new Map(),
    size: 0,
    root: undefined,
    resets: [],
  };
  while (building.next < events.length) {
    building.next++;
    building.anchors = new Map();
    const resets: YamlDocument['resets'] = [];
    building.resets = resets;
    const empty = events[building.next]?.type === EVENT_ID.POP;
    const root = empty ? undefined : build(building, []).node;
    building.next++;
    documents.push({ root, resets });
  }
  return documents;
}

interface Built {
  node: Node;
  /** The node carried `!reset`, so it is treated as missing. */
  reset: boolean;
}

function build(state: Building, path: readonly string[], at?: Place): Built {
  const event = state.events[state.next++] as Event;
  if (event.type === EVENT_ID.ALIAS) return alias(state, event, path);
  if (event.type === EVENT_ID.POP || event.type === EVENT_ID.DOCUMENT) throw new Error('unexpected YAML event');
  const place = at ?? { source: state.source, offset: state.original(startOf(event)) };
  grow(state, 1, place.offset);
  const before = state.size;
  const anchor = event.anchorStart < 0 ? null : state.content.slice(event.anchorStart, event.anchorEnd);
  const tag = event.tagStart < 0 ? '' : state.content.slice(event.tagStart, event.tagEnd);
  if (anchor !== null) state.anchors.set(anchor, { node: undefined, size: 0, reset: false });
  const reset = tag === '!reset';
  // Below a reset or an override nothing more is recorded: the whole of it is.
  const resets = state.resets;
  if (reset || tag === '!override') {
    resets.push(path);
    state.resets = [];
  }
  const node =
    event.type === EVENT_ID.SCALAR
      ? scalar(state, event, tag, place)
      : event.type === EVENT_ID.SEQUENCE
        ? sequence(state, path, place)
        : mapping(state, path, place);
  state.resets = resets;
  if (anchor !== null) state.anchors.set(anchor, { node, size: state.size - before, reset });
  return { node, reset };
}

/** The quote character of a quoted scalar. */
function startOf(event: Event & { type: 2 | 3 | 4 }): number {
  if (event.type !== EVENT_ID.SCALAR) return Math.max(0, event.start);
  const quoted = event.style === SCALAR_STYLE.DOUBLE_QUOTED || event.style === SCALAR_STYLE.SINGLE_QUOTED;
  return Math.max(0, event.valueStart - (quoted ? 1 : 0));
}

function grow(state: Building, by: number, offset: number): void {
  state.size += by;
  if (state.size > LIMITS.values)
    throw new YamlError(
      `stands for more than ${LIMITS.values} values once its aliases are filled in; use fewer`,
      offset,
    );
}

function alias(state: Building, event: Event & { type: typeof EVENT_ID.ALIAS }, path: readonly string[]): Built {
  const name = state.content.slice(event.anchorStart, event.anchorEnd);
  const found = state.anchors.get(name);
  if (found === undefined) throw new YamlError(`unknown anchor \`*${name}\``, state.original(event.anchorStart - 1));
  if (found.node === undefined)
    throw new YamlError(`\`*${name}\` refers to a value that contains it`, state.original(event.anchorStart - 1));
  grow(state, found.size + 1, state.original(event.anchorStart));
  if (found.reset) state.resets.push(path);
  return { node: found.node, reset: found.reset };
}

function sequence(state: Building, path: readonly string[], at: Place): Node {
  const items: Node[] = [];
  for (let i = 0; state.events[state.next]?.type !== EVENT_ID.POP; i++) {
    const { node, reset } = build(state, [...path, String(i)]);
    if (!reset) items.push(node);
  }
  state.next++;
  return { kind: 'list', items, at };
}

function mapping(state: Building, path: readonly string[], at: Place): Node {
  const own = new Map<string, Node>();
  const merged: Node[] = [];
  const seen = new Map<string, number>();
  while (state.events[state.next]?.type !== EVENT_ID.POP) {
    const event = state.events[state.next];
    const plain = event?.type === EVENT_ID.SCALAR && event.style === SCALAR_STYLE.PLAIN;
    const { node: key } = build(state, path);
    if (key.kind !== 'scalar' || (key.type !== 'string' && !(plain && key.value === '<<')))
      throw new YamlError(
        `the key ${key.kind === 'scalar' ? `\`${String(key.value)}\`` : 'here'} is not a string; put it in quotes`,
        key.at.offset,
      );
    const name = String(key.value);
    const merge = plain && name === '<<';
    const value = build(state, merge ? path : [...path, name], merge ? undefined : key.at);
    if (seen.has(name) && !merge)
      throw new YamlError(
        `the key \`${name}\` occurs twice in one mapping; first at line ${lineOf(state, seen.get(name) ?? 0)}`,
        key.at.offset,
      );
    seen.set(name, key.at.offset);
    if (value.reset) continue;
    if (merge) merged.push(...mergeParts(value.node));
    else own.set(name, value.node.at === key.at ? value.node : { ...value.node, at: key.at });
  }
  state.next++;
  if (merged.length === 0) return { kind: 'map', entries: own, at };
  // Keys of the mapping itself win, then those of the first merged mapping.
  const entries = new Map<string, Node>();
  for (const part of merged)
    for (const [key, value] of (part as MapNode).entries) if (!entries.has(key)) entries.set(key, value);
  for (const [key, value] of own) entries.set(key, value);
  return { kind: 'map', entries, at };
}

function mergeParts(value: Node): Node[] {
  const parts = value.kind === 'list' ? value.items : [value];
  const wrong = parts.find((part) => part.kind !== 'map');
  if (wrong) throw new YamlError('`<<` takes a mapping or a list of mappings', wrong.at.offset);
  return parts;
}

const lineOf = ({ source }: Building, offset: number): number => position({ source, offset }).line;

function scalar(state: Building, event: Event & { type: typeof EVENT_ID.SCALAR }, tag: string, at: Place): ScalarNode {
  const raw = getScalarValue(state.content, event);
  if (tag === '' || tag === '!override') {
    const [type, value] = event.style === SCALAR_STYLE.PLAIN ? resolvePlain(raw) : (['string', raw] as const);
    return { kind: 'scalar', type, value, at };
  }
  const wanted = { '!!int': 'int', '!!float': 'float', '!!bool': 'bool', '!!null': 'null' }[tag];
  if (wanted === undefined) return { kind: 'scalar', type: 'string', value: raw, at };
  const [type, value] = resolvePlain(raw);
  if (type === 'int' && wanted === 'float') return { kind: 'scalar', type: 'float', value: Number(value), at };
  if (type !== wanted) throw new YamlError(`\`${raw.slice(0, 60)}\` is not what its tag ${tag} says`, at.offset);
  return { kind: 'scalar', type, value, at };
}
