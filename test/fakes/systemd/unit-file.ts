/** Unit files below a directory that stands for `/`: found, read with their drop-ins, and parsed (systemd.syntax(7)). */
import fs from 'node:fs';
import path from 'node:path';

/** systemd.unit(5): earlier directories override later ones. */
export const DIRS = [
  '/etc/systemd/system',
  '/run/systemd/system',
  '/run/systemd/generator',
  '/usr/local/lib/systemd/system',
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
];
export const ETC = '/etc/systemd/system';

/** The files of a unit on disk. */
export interface OnDisk {
  /** The host's path of the file; '' if there is none. */
  file: string;
  isMasked: boolean;
  /** The file and its drop-ins, one after another: everything that a reload would read. */
  text: string;
}

/** Section → key → values, in order; an empty value clears those before it. */
export type Definition = ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>;

const read = (at: string): string | null => {
  try {
    return fs.readFileSync(at, 'utf8');
  } catch {
    return null;
  }
};
const list = (dir: string): string[] => {
  try {
    return fs.readdirSync(dir).sort();
  } catch {
    return [];
  }
};

/** `a@b.service` → `a@.service`; null if it is no instance. */
export function templateOf(name: string): string | null {
  const [, stem, suffix] = /^(.*@)[^@]+(\.[a-z]+)$/.exec(name) ?? [];
  return stem === undefined ? null : `${stem}${suffix}`;
}

export const isTemplate = (name: string): boolean => /@\.[a-z]+$/.test(name);

/** @param known the directories of drop-ins to search; all by default */
export function onDisk(root: string, name: string, known?: ReadonlySet<string>): OnDisk {
  const names = [name, ...[templateOf(name) ?? []].flat()];
  const candidates = names.flatMap((one) => DIRS.map((dir) => `${dir}/${one}`));
  const file = candidates.find((at) => fs.lstatSync(root + at, { throwIfNoEntry: false }) !== undefined) ?? '';
  const isLink = file !== '' && fs.lstatSync(root + file).isSymbolicLink();
  const target = isLink ? fs.readlinkSync(root + file) : '';
  if (target === '/dev/null') return { file, isMasked: true, text: '' };
  const body = file === '' ? null : read(root + (isLink ? path.resolve(path.dirname(file), target) : file));
  // Of two drop-ins with the same name the one in the earlier directory counts.
  const dropins = new Map<string, string>();
  for (const dir of [...DIRS].reverse())
    for (const one of names.map((unit) => `${dir}/${unit}.d`).reverse())
      if (known?.has(one) !== false)
        for (const conf of list(root + one).filter((f) => f.endsWith('.conf')))
          dropins.set(conf, read(path.join(root + one, conf)) ?? '');
  const added = [...dropins].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, text]) => text);
  return { file: body === null ? '' : file, isMasked: false, text: [body ?? '', ...added].join('\n') };
}

/** All existing directories of drop-ins. */
export const dropinDirs = (root: string): ReadonlySet<string> =>
  new Set(DIRS.flatMap((dir) => list(root + dir).flatMap((name) => (name.endsWith('.d') ? [`${dir}/${name}`] : []))));

/** If the name has only drop-ins, there is no unit. */
export const exists = ({ file, isMasked }: OnDisk): boolean => file !== '' || isMasked;

export function parse(text: string): Definition {
  const sections = new Map<string, Map<string, string[]>>();
  let current = new Map<string, string[]>();
  for (const line of text
    .replaceAll(/\\\n/g, ' ')
    .split('\n')
    .map((l) => l.trim())) {
    const [, section] = /^\[(.+)\]$/.exec(line) ?? [];
    if (section !== undefined) {
      current = sections.get(section) ?? new Map();
      sections.set(section, current);
      continue;
    }
    const at = line.indexOf('=');
    if (at < 1 || /^[#;]/.test(line)) continue;
    const [key, value] = [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    current.set(key, value === '' ? [] : [...(current.get(key) ?? []), value]);
  }
  return sections;
}

export const valuesOf = (definition: Definition, section: string, key: string): readonly string[] =>
  definition.get(section)?.get(key) ?? [];
/** The last value, or `otherwise`. */
export const lastOf = (definition: Definition, section: string, key: string, otherwise = ''): string =>
  valuesOf(definition, section, key).at(-1) ?? otherwise;
export const wordsOf = (definition: Definition, section: string, key: string): string[] =>
  valuesOf(definition, section, key).flatMap((value) => value.split(/\s+/).filter(Boolean));

/** A command line as words, without quotes and without the prefixes of its path (systemd.service(5), COMMAND LINES). */
export function argvOf(line: string): string[] {
  const words = [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c ?? '');
  return words.map((word, i) => (i === 0 ? word.replace(/^[-@:+!|]+/, '') : word));
}
