/**
 * The rules of docs/architecture.md, as functions from sources to violations. They know this repository only by the plan that
 * they are given, so that each can be tried on sources that break it.
 */
import { type Import, importsOf, literalsOf, type Sources, withoutComments } from './source.ts';

export interface Plan {
  /** Highest first; a file or folder imports from lower floors only. Rooms on one floor do not know each other. */
  floors: readonly (readonly string[])[];
  /** Files that all others may import, and that import at most from `below`. */
  leaves: readonly string[];
  below: string;
  /** Files and folders of the top floor that may know each other: together they are the composition root. */
  root: readonly string[];
  /** Room → its sub-folders and files, highest first, as floors of its own. */
  inside: Readonly<Record<string, readonly (readonly string[])[]>>;
  /** Importer → the only files that it may import of a room below it. */
  doors: readonly { from: string; to: string; only: readonly string[] }[];
}

const isIn = (file: string, room: string): boolean => file === room || file.startsWith(`${room}/`);
const floorOf = (file: string, floors: readonly (readonly string[])[]): number =>
  floors.findIndex((rooms) => rooms.some((room) => isIn(file, room)));
const roomOf = (file: string, floors: readonly (readonly string[])[]): string | undefined =>
  floors.flat().find((room) => isIn(file, room));

/** Relative imports, each as a pair, derived from the sources, not from the disk. */
function arrows(sources: Sources): { file: string; target: string; arrow: string; typeOnly: boolean }[] {
  return [...sources].flatMap(([file, text]) =>
    importsOf(file, text).flatMap(({ target, typeOnly }: Import) =>
      target === null ? [] : [{ file, target, arrow: `${file} → ${target}`, typeOnly }],
    ),
  );
}

/** Imports that go up, or sideways into another room of the same floor. */
export function upwards(sources: Sources, { floors, leaves, below, root }: Plan): string[] {
  return arrows(sources)
    .filter(({ file, target }) => {
      if (leaves.includes(target)) return false;
      if (leaves.includes(file)) return !isIn(target, below);
      const [from, to] = [floorOf(file, floors), floorOf(target, floors)];
      if (from === -1 || to === -1) return true;
      const isSame = roomOf(file, floors) === roomOf(target, floors);
      return to < from || (to === from && !isSame && !root.some((room) => isIn(file, room)));
    })
    .map(({ arrow }) => arrow);
}

/** The same inside one room: its sub-folders are floors, and every file of it has its place in the plan. */
export function upwardsInside(sources: Sources, { inside }: Plan): string[] {
  return Object.entries(inside).flatMap(([room, floors]) => {
    const placed = floors.map((names) => names.map((name) => `${room}/${name}`));
    const own = new Map([...sources].filter(([file]) => isIn(file, room)));
    const homeless = [...own.keys()]
      .filter((file) => floorOf(file, placed) === -1)
      .map((file) => `${file} has no place`);
    const wrong = arrows(own)
      .filter(({ target }) => isIn(target, room))
      .filter(({ file, target }) => {
        const [from, to] = [floorOf(file, placed), floorOf(target, placed)];
        return to < from || (to === from && roomOf(file, placed) !== roomOf(target, placed));
      })
      .map(({ arrow }) => arrow);
    return [...homeless, ...wrong];
  });
}

/** Imports of a room with restricted entry points that do not use one of them. */
export function pastDoors(sources: Sources, { doors }: Plan): string[] {
  return arrows(sources)
    .filter(({ file, target }) =>
      doors.some(
        ({ from, to, only }) => isIn(file, from) && isIn(target, to) && !isIn(file, to) && !only.includes(target),
      ),
    )
    .map(({ arrow }) => arrow);
}

/** Packages that are imported outside of the rooms they belong to. @param rooms package → where it may be imported */
export function strayLibraries(sources: Sources, rooms: Readonly<Record<string, readonly string[]>>): string[] {
  return [...sources].flatMap(([file, text]) =>
    importsOf(file, text)
      .filter(({ target, specifier }) => target === null && !specifier.startsWith('node:'))
      .map(({ specifier }) =>
        specifier
          .split('/')
          .slice(0, specifier.startsWith('@') ? 2 : 1)
          .join('/'),
      )
      .filter((name) => !(rooms[name] ?? []).some((room) => isIn(file, room)))
      .map((name) => `${file}: ${name}`),
  );
}

/** Files of pure rooms that use the clock, randomness, the process or the machine. */
export function impure(sources: Sources, rooms: readonly string[]): string[] {
  return [...sources]
    .filter(([file]) => rooms.some((room) => isIn(file, room)))
    .flatMap(([file, text]) => [
      ...importsOf(file, text)
        .map(({ specifier }) => specifier)
        .filter((specifier) => /^node:(?!path)/.test(specifier))
        .map((specifier) => `${file}: ${specifier}`),
      ...(/\bDate\.now\(|new Date\(\)|Math\.random\(|\bprocess\./.test(withoutComments(text))
        ? [`${file}: clock, randomness or process`]
        : []),
    ]);
}

/**
 * Uses of Node in the files of `room` and in everything that they import at run time: a page in a browser has no Node.
 * @param libraries libraries that run in a browser
 */
export function needsOfNode(sources: Sources, room: string, libraries: readonly string[]): string[] {
  const seen = new Set<string>();
  const queue = [...sources.keys()].filter((file) => isIn(file, room));
  const found: string[] = [];
  for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
    if (seen.has(file)) continue;
    seen.add(file);
    const text = sources.get(file) ?? '';
    for (const { specifier, target, typeOnly } of importsOf(file, text)) {
      if (target === null && !libraries.includes(specifier)) found.push(`${file}: ${specifier}`);
      else if (target !== null && !typeOnly) queue.push(target);
    }
    if (/\bBuffer\b|\bNodeJS\.|\bprocess\./.test(withoutComments(text))) found.push(`${file}: a global of Node`);
  }
  return found.sort();
}

/** State of a module: a variable, or a collection that is not declared as read-only. */
export function moduleState(sources: Sources): string[] {
  const collection =
    /^(?:export )?const (\w+)(?:: (?!readonly |Readonly)[^=]+)? = (?:new (?:Weak)?(?:Map|Set)\b|\[\];|\{\};)/gm;
  return [...sources].flatMap(([file, text]) => {
    const code = withoutComments(text);
    const variables = [...code.matchAll(/^(?:export )?(?:let|var) (\w+)/gm), ...code.matchAll(collection)];
    return variables.map(([, name]) => `${file}: ${name}`);
  });
}

export interface Names {
  kinds: readonly string[];
  sections: readonly string[];
}

/** Literals that name a kind, for any purpose: `'job'`, `'files'`, `` `unit:${name}` ``, `/^(job|check):/`. */
export function namedKinds(sources: Sources, rooms: readonly string[], names: Names): string[] {
  const words = new Set([...names.kinds, ...names.sections]);
  const kind = `(?:${names.kinds.join('|')})`;
  const inRegex = new RegExp(`\\^\\(?${kind}[:|)]|${kind}\\|${kind}`);
  return literals(sources, rooms, (literal) => {
    if (literal.kind === 'regex') return inRegex.test(literal.text);
    return words.has(literal.text) || isId(literal.text, names);
  });
}

/** Literals that begin an id, and comparisons of a kind with a word. For rooms in which `'file'` may mean something else. */
export function namedIds(sources: Sources, rooms: readonly string[], names: Names): string[] {
  const compared = new RegExp(`kindOf\\([^()]*(?:\\([^()]*\\))?[^()]*\\)\\s*[!=]==?\\s*'(?:${names.kinds.join('|')})'`);
  return [
    ...literals(sources, rooms, ({ kind, text }) => kind !== 'regex' && isId(text, names)),
    ...[...sources]
      .filter(([file, text]) => rooms.some((room) => isIn(file, room)) && compared.test(withoutComments(text)))
      .map(([file]) => `${file}: compares a kind`),
  ];
}

/** `file:/etc/x` is an id, `file://` begins a URL. */
const isId = (text: string, { kinds }: Names): boolean =>
  kinds.some((kind) => text.startsWith(`${kind}:`) && !text.startsWith(`${kind}://`) && !text.startsWith(`${kind}: `));

function literals(
  sources: Sources,
  rooms: readonly string[],
  isWrong: (literal: ReturnType<typeof literalsOf>[number]) => boolean,
): string[] {
  return [...sources]
    .filter(([file]) => rooms.some((room) => isIn(file, room)))
    .flatMap(([file, text]) => [
      ...new Set(
        literalsOf(text)
          .filter(isWrong)
          .map((l) => `${file}: ${l.text}`),
      ),
    ]);
}

/** Cycles of files that import each other at run time, each sorted and joined; imports of types alone form no cycle. */
export function cycles(sources: Sources): string[] {
  const next = new Map<string, string[]>();
  for (const { file, target, typeOnly } of arrows(sources))
    if (!typeOnly && sources.has(target)) next.set(file, [...(next.get(file) ?? []), target]);
  const reach = (start: string): Set<string> => {
    const seen = new Set<string>();
    const queue = [...(next.get(start) ?? [])];
    for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
      if (seen.has(file)) continue;
      seen.add(file);
      queue.push(...(next.get(file) ?? []));
    }
    return seen;
  };
  const all = new Map([...next.keys()].map((file) => [file, reach(file)]));
  const rings = [...all]
    .filter(([file, reached]) => reached.has(file))
    .map(([file, reached]) =>
      [...reached]
        .filter((other) => all.get(other)?.has(file))
        .sort()
        .join(' ↔ '),
    );
  return [...new Set(rings)].sort();
}
