/** Enabling a unit: the links that its [Install] section requests (systemctl(1), enable). */
import fs from 'node:fs';
import path from 'node:path';
import { noSuchUnit, refusal, type State } from './state.ts';
import { DIRS, ETC, exists, onDisk, parse, templateOf, wordsOf } from './unit-file.ts';

const KINDS: Record<string, string> = { WantedBy: 'wants', RequiredBy: 'requires', UpheldBy: 'upholds' };
const LINKS = /\.(wants|requires|upholds)$/;

/** Host paths of the links that the file requests; null if it has no [Install] section. */
function linksOf(state: State, name: string): string[] | null {
  const install = parse(onDisk(state.root, name).text);
  if (!install.has('Install')) return null;
  const wanted = Object.entries(KINDS).flatMap(([key, dir]) =>
    wordsOf(install, 'Install', key).map((other) => `${ETC}/${other}.${dir}/${name}`),
  );
  return [...wanted, ...wordsOf(install, 'Install', 'Alias').map((alias) => `${ETC}/${alias}`)];
}

/** Links to it, in any directory. */
function existing({ root }: State, name: string): string[] {
  const dirs = DIRS.flatMap((dir) => {
    const names = fs.existsSync(root + dir) ? fs.readdirSync(root + dir) : [];
    return names.filter((one) => LINKS.test(one)).map((one) => `${dir}/${one}`);
  });
  const wants = dirs.map((dir) => `${dir}/${name}`);
  const aliases = fs.existsSync(root + ETC) ? fs.readdirSync(root + ETC).map((one) => `${ETC}/${one}`) : [];
  const leads = (at: string) => {
    const stat = fs.lstatSync(root + at, { throwIfNoEntry: false });
    return stat?.isSymbolicLink() === true && path.basename(fs.readlinkSync(root + at)) === name;
  };
  return [...wants.filter((at) => fs.lstatSync(root + at, { throwIfNoEntry: false })), ...aliases.filter(leads)];
}

/** @returns whether it has an [Install] section, and the created links */
export function enable(state: State, name: string): { installable: boolean; made: string[] } {
  const disk = onDisk(state.root, name);
  if (!exists(disk)) throw noSuchUnit(name);
  if (disk.isMasked) throw refusal('UnitMasked', `Unit file ${name} is masked.`);
  const links = linksOf(state, name);
  const made: string[] = [];
  for (const link of links ?? []) {
    const at = state.root + link;
    if (fs.lstatSync(at, { throwIfNoEntry: false })) continue;
    fs.mkdirSync(path.dirname(at), { recursive: true });
    fs.symlinkSync(disk.file, at);
    made.push(link);
  }
  if (made.length > 0) state.reread();
  return { installable: links !== null, made };
}

export function disable(state: State, name: string): void {
  // A unit that is enabled for this boot only, by links in /run, stays so.
  const gone = existing(state, name).filter((link) => link.startsWith(`${ETC}/`));
  for (const link of gone) {
    fs.rmSync(state.root + link);
    const dir = state.root + path.dirname(link);
    if (LINKS.test(dir) && fs.readdirSync(dir).length === 0) fs.rmdirSync(dir);
  }
  if (gone.length > 0) state.reread();
}

/** systemctl(1), is-enabled; '' if there is no unit file. */
export function fileState(state: State, name: string): string {
  const disk = onDisk(state.root, name);
  const runtime = disk.file.startsWith('/run/') ? '-runtime' : '';
  if (disk.isMasked) return `masked${runtime}`;
  if (!exists(disk)) return '';
  if (GENERATED.test(disk.file)) return 'generated';
  const stat = fs.lstatSync(state.root + disk.file);
  const target = stat.isSymbolicLink()
    ? path.resolve(path.dirname(disk.file), fs.readlinkSync(state.root + disk.file))
    : '';
  if (target !== '' && path.basename(target) !== name) return 'alias';
  const links = existing(state, name);
  if (links.some((link) => link.startsWith(`${ETC}/`))) return 'enabled';
  if (links.length > 0) return 'enabled-runtime';
  if (target !== '' && !DIRS.includes(path.dirname(target))) return `linked${runtime}`;
  const asked = linksOf(state, name);
  if (asked === null) return 'static';
  if (asked.length === 0 && wordsOf(parse(disk.text), 'Install', 'Also').length > 0) return 'indirect';
  return templateOf(name) === null || asked.length > 0 ? 'disabled' : 'static';
}

const GENERATED = /^\/run\/systemd\/generator(\.early|\.late)?\//;
