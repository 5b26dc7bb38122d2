/** Kernel settings, as core and engine know them: their names, their values and the format of sysctl.d(5). Pure. */
import type { SysctlEntry } from '../../../manifests-schema/kinds/sysctl.ts';
import type { KindDefinition, RenderContext, Rendered } from '../../core/kind.ts';
import type { Change, Desired, Reason, Seen } from '../../core/types.ts';

export interface SysctlSpec {
  /**
   * With dots, e.g. `net.ipv4.ip_forward`; a dot within a component is written as a slash, as in
   * `net.ipv4.conf.eth0/100.forwarding`.
   */
  name: string;
  /** As declared, without surrounding blanks. */
  value: string;
}

export interface SysctlFact {
  /** The kernel's value; null if it has no such setting, or if there is no kernel to ask. */
  value: string | null;
  /** The value that fairlead's file sets at the next boot; null if it sets none. */
  kept: string | null;
  /** A file that sets another value after fairlead's file. */
  overridden?: Override;
  /** Why the kernel's value cannot be read. */
  problem?: string;
}

/** The file that sets the values again after a reboot. */
export const SYSCTL_FILE = '/etc/sysctl.d/zz-fairlead.conf';

export const sysctl: KindDefinition<SysctlSpec, { value: SysctlEntry }> = {
  name: 'sysctl',
  declared: {
    section: 'sysctls',
    exclusive: [],
    nested: [],
    plain: 'value',
    locator: nameOf,
    render,
  },
  // All settings share one file, which a purge of its directory must keep.
  paths: () => [SYSCTL_FILE],
  traits: {
    observing: 'free',
    drifts: true,
    confirm: 're-observable',
    harmlessWhenNew: false,
    survivesDecommission: false,
    judgesEveryRun: false,
    mayRepeat: false,
    onRollback: () => 'run',
  },
};

/** sysctl.d(5) swaps dots and slashes if the first separator is a dot, and changes nothing if it is a slash. */
const swapped = (name: string): string => name.replace(/[./]/g, (separator) => (separator === '.' ? '/' : '.'));

/** The name in the form with dots, from either form. */
export function nameOf(written: string): string {
  return /[./]/.exec(written)?.[0] === '/' ? swapped(written) : written;
}

/** Its path below /proc/sys. @param name in the form with dots */
export const settingOf = (name: string): string => swapped(name);

function render({ value }: { value: SysctlEntry }, context: RenderContext): Rendered {
  const name = nameOf(context.key);
  const parts = settingOf(name).split('/');
  const isPlain = parts.every((part) => /^[A-Za-z0-9_:@+.-]+$/.test(part) && part !== '.' && part !== '..');
  if (parts.length < 2 || !isPlain || name.startsWith('-')) {
    const message = `\`${context.key}\` is not the name of one kernel setting; write it as \`sysctl -a\` does, such as net.ipv4.ip_forward, without patterns`;
    return { resources: [], issues: [context.issue([], message)] };
  }
  return { resources: [context.declare<SysctlSpec>(name, { name, value: value.trim() })], issues: [] };
}

const fieldsOf = (value: string): string[] => value.trim().split(/\s+/);

/** An integer as the kernel parses it: decimal, hexadecimal after 0x, octal after 0. null if it is none. */
function numberOf(field: string): bigint | null {
  const [, sign, digits = ''] = /^(-?)(0x[0-9a-f]+|\d+)$/i.exec(field) ?? [];
  if (sign === undefined) return null;
  if (/^0\d/.test(digits) && !/^[0-7]+$/.test(digits)) return null;
  const size = BigInt(/^0\d/.test(digits) ? `0o${digits.slice(1)}` : digits);
  return sign === '-' ? -size : size;
}

/**
 * Whether the kernel has the declared value. Blanks between fields are ignored, and numbers are compared by value. If fewer
 * numbers are declared than a setting has, as for `kernel.printk`, the kernel sets the first ones.
 */
export function isSame(declared: string, actual: string): boolean {
  const want = fieldsOf(declared);
  const have = fieldsOf(actual);
  const same = want.every((field, i) => {
    const number = numberOf(field);
    return field === have[i] || (number !== null && number === numberOf(have[i] ?? ''));
  });
  const areNumbers = want.length > 0 && have.every((field) => numberOf(field) !== null);
  return same && (want.length === have.length || (areNumbers && want.length < have.length));
}

/**
 * The settings of a file of sysctl.d(5), by name. The last line for a name wins; patterns are ignored, because names take
 * precedence.
 */
export function parseSettings(text: string): Map<string, string> {
  const settings = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [, key = '', value = ''] = /^\s*-?\s*([^#;=\s][^=]*?)\s*=(.*)$/.exec(line) ?? [];
    if (key !== '' && !/[*?[]/.test(key)) settings.set(nameOf(key), value.trim());
  }
  return settings;
}

export const formatSettings = (settings: ReadonlyMap<string, string>): string =>
  [
    '# Kernel settings from the fleet repository. fairlead overwrites this file: put your own settings into another one.',
    ...[...settings].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => `${name} = ${value}`),
    '',
  ].join('\n');

/**
 * Files are ordered by name, whatever their directory, and later ones win; of two files with the same name, only the one in the
 * first directory is read.
 */
export const SYSCTL_DIRECTORIES = ['/etc', '/run', '/usr/local/lib', '/usr/lib'].map((dir) => `${dir}/sysctl.d`);

/** The value that another file gives to a setting. */
export interface Override {
  file: string;
  value: string;
}

/** The files that are read after fairlead's, in reading order. @param files of the directories above, in their order */
export function laterFiles(files: readonly string[]): string[] {
  const nameOfFile = (file: string) => file.slice(file.lastIndexOf('/') + 1);
  const byName = new Map<string, string>();
  for (const file of files) {
    const name = nameOfFile(file);
    if (name.endsWith('.conf') && name > nameOfFile(SYSCTL_FILE) && !byName.has(name)) byName.set(name, file);
  }
  return [...byName].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, file]) => file);
}

/** Name of a setting → the value from the last of these files. */
export const overridesIn = (files: readonly { file: string; text: string }[]): Map<string, Override> =>
  new Map(
    files.flatMap(({ file, text }) =>
      [...parseSettings(text)].map(([name, value]): [string, Override] => [name, { file, value }]),
    ),
  );

/** The first of these settings that another file overrides, as a sentence; null if there is none. */
export function overrideOf(
  wants: readonly Desired<SysctlSpec>[],
  overrides: ReadonlyMap<string, Override>,
): string | null {
  for (const { spec } of wants) {
    const { name, value } = spec;
    const other = overrides.get(name);
    if (other !== undefined && !isSame(value, other.value))
      return `${other.file} sets ${name} = ${other.value} at each boot, after ${SYSCTL_FILE}; remove it there, or rename the file`;
  }
  return null;
}

const shown = (value: string): string => value.trim().replace(/\s+/g, ' ');

/** @param hasKernel false: only the value for the next boot can differ */
export function diff({ spec }: Desired<SysctlSpec>, seen: Seen<SysctlFact> | undefined, hasKernel: boolean): Change {
  const { value = null, kept = null, overridden } = seen?.fact ?? {};
  const why: Reason[] = [];
  if (hasKernel && (value === null || !isSame(spec.value, value)))
    why.push({ field: 'value', ...(value === null ? {} : { from: shown(value) }), to: shown(spec.value) });
  if (kept !== spec.value)
    why.push({ field: 'at boot', ...(kept === null ? {} : { from: shown(kept) }), to: shown(spec.value) });
  if (why.length === 0) return { op: 'none' };
  if (overridden && !isSame(spec.value, overridden.value))
    why.push({
      field: 'overridden',
      to: `${overridden.file} sets ${shown(overridden.value)} at each boot; remove it there`,
    });
  return { op: kept === null ? 'create' : 'update', why };
}
