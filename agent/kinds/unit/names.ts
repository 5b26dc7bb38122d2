/** The names that a unit provides to others, and the names that its text uses: systemd.exec(5), systemd.unit(5). Pure. */
import type { Named } from '../../core/kind.ts';
import { mountPoint } from './edges.ts';
import type { UnitSpec } from './spec.ts';

/** Keys whose values are lists of paths; a path with `-` in front may be missing. */
const PATHS = [
  ...['EnvironmentFile', 'WorkingDirectory', 'RootDirectory', 'RootImage', 'RequiresMountsFor', 'WantsMountsFor'],
  ...['PathExists', 'PathExistsGlob', 'PathChanged', 'PathModified', 'DirectoryNotEmpty'],
];
const CONDITION = /^(Condition|Assert)(Path|Directory|File)/;
const COMMAND = /^Exec(Start|Stop|Reload|Condition)(Pre|Post)?$/;
/** `SOURCE:DESTINATION`, or `NAME:PATH`. */
const BINDS = ['BindPaths', 'BindReadOnlyPaths'];
const CREDENTIALS = ['LoadCredential', 'LoadCredentialEncrypted'];
const USERS: Readonly<Record<string, string>> = { User: 'user', Group: 'group', SupplementaryGroups: 'group' };
/** Keys that name required units, and keys that only order. */
const NEEDS = ['Requires', 'Requisite', 'BindsTo', 'Slice', 'Sockets'];
const LIKES = ['After'];
/** Directories that systemd creates for the unit, with their parents. systemd.exec(5) */
const MAKES: Readonly<Record<string, string>> = {
  RuntimeDirectory: '/run',
  StateDirectory: '/var/lib',
  CacheDirectory: '/var/cache',
  LogsDirectory: '/var/log',
  ConfigurationDirectory: '/etc',
};
/** systemd.syntax(7): a line that ends in a backslash continues on the next line. */
const CONTINUED = /\\\n(?:[ \t]*[#;].*\n)*/g;
const ROOTS = ['root', '0'];

interface Line {
  key: string;
  value: string;
}

function linesOf({ content = '', dropins = {} }: UnitSpec): Line[] {
  const texts = [content, ...Object.values(dropins)].map((text) => text.replace(CONTINUED, ' '));
  return texts.flatMap((text) =>
    [...text.matchAll(/^[ \t]*([A-Za-z]+)[ \t]*=[ \t]*(.*?)[ \t]*$/gm)].map(([, key = '', value = '']) => ({
      key,
      value,
    })),
  );
}

const wordsOf = (value: string): string[] => value.split(/\s+/).map((word) => word.replace(/^["']|["']$/g, ''));

/** A path that is known here: absolute, not the whole host, without systemd specifiers. */
function pathOf(word: string): Named | null {
  const optional = /^[-|!+@:]*-/.test(word);
  const path = word.replace(/^[-|!+@:]+/, '').replace(/\/+$/, '');
  if (!path.startsWith('/') || /[%*?]/.test(path)) return null;
  return { name: `path:${path}`, ...(optional ? { optional: true as const } : {}) };
}

const paths = (words: readonly string[]): Named[] => words.flatMap((word) => pathOf(word) ?? []);

function namedBy({ key, value }: Line): Named[] {
  if (PATHS.includes(key) || COMMAND.test(key)) return paths(wordsOf(value));
  // A condition that does not hold prevents the start, and is no failure.
  if (CONDITION.test(key)) return paths(wordsOf(value)).map(({ name }) => ({ name, optional: true }));
  if (BINDS.includes(key)) return paths(wordsOf(value).map((word) => word.split(':')[0] ?? ''));
  if (CREDENTIALS.includes(key)) return paths([value.slice(value.indexOf(':') + 1)]);
  if (key === 'What') return paths([value]);
  const account = USERS[key];
  if (account !== undefined)
    return wordsOf(value)
      .map((name) => ({ name: `${account}:${name}` }))
      .filter(isNobody);
  if (NEEDS.includes(key)) return wordsOf(value).map((name) => ({ name: `unit:${name}` }));
  if (LIKES.includes(key)) return wordsOf(value).map((name) => ({ name: `unit:${name}`, optional: true as const }));
  return [];
}

/** Root exists on every host, so no resource provides it. */
const isNobody = ({ name }: Named): boolean => !ROOTS.includes(name.slice(name.indexOf(':') + 1));

/** A unit without a declared file is provided by something else: it is an alias, or a generator makes it. */
export const unitNames = (spec: UnitSpec): Named[] => [
  ...(spec.content === undefined ? [{ name: `unit:${spec.name}` }] : []),
  ...linesOf(spec).flatMap(namedBy),
];

export function unitProvides(spec: UnitSpec): string[] {
  const { name } = spec;
  const made = linesOf(spec).flatMap(({ key, value }) => {
    const below = MAKES[key];
    if (below !== undefined)
      return wordsOf(value)
        .filter(Boolean)
        .map((dir) => `tree:${below}/${dir.split(':')[0]}`);
    if (key === 'Alias') return wordsOf(value).map((alias) => `unit:${alias}`);
    if (/^Listen(Stream|Datagram|SequentialPacket|FIFO)$/.test(key)) return [listening(key, value)];
    return [];
  });
  const mounted = /\.(auto)?mount$/.test(name) ? [`tree:${mountPoint(name)}`] : [];
  return [`unit:${name}`, ...mounted, ...made];
}

/** A path, or the port at the end of an address: systemd.socket(5). */
function listening(key: string, value: string): string {
  if (value.startsWith('/')) return `tree:${value}`;
  return `port:${key === 'ListenDatagram' ? 'udp' : 'tcp'}/${value.slice(value.lastIndexOf(':') + 1)}`;
}
