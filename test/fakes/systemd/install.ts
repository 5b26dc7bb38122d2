/** What enables a unit: the links that its [Install] section asks for (systemctl(1), enable). */
import fs from 'node:fs';
import path from 'node:path';
import { noSuchUnit, refusal, type State } from './state.ts';
import { DIRS, ETC, exists, onDisk, parse, templateOf, wordsOf } from './unit-file.ts';

const KINDS: Record<string, string> = { WantedBy: 'wants', RequiredBy: 'requires', UpheldBy: 'upholds' };
const LINKS = /\.(wants|requires|upholds)$/;

/** Host paths of the links that the file asks for; null where it has no [Install] section. */
function linksOf(state: State, name: string): string[] | null {
  const install = parse(onDisk(state.root, name).text);
  if (!install.has('Install')) return null;
  const wanted = Object.entries(KINDS).flatMap(([key, dir]) =>
    wordsOf(install, 'Install', key).map((other) => `${ETC}/${other}.${dir}/${name}`),
  );
  return [...wanted, ...wordsOf(install, 'Install', 'Alias').map((alias) => `${ETC}/${alias}`)];
}

/** Links to it, wherever they lie. */
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

/** @returns whether it has an [Install] section, and the links that were made */
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
  const gone = existing(state, name);
  for (const link of gone) {
    fs.rmSync(state.root + link);
    const dir = state.root + path.dirname(link);
    if (LINKS.test(dir) && fs.readdirSync(dir).length === 0) fs.rmdirSync(dir);
  }
  if (gone.length > 0) state.reread();
}

/** systemctl(1), is-enabled; '' where there is no unit file. */
export function fileState(state: State, name: string): string {
  const disk = onDisk(state.root, name);
  if (disk.isMasked) return 'masked';
  if (!exists(disk)) return '';
  if (existing(state, name).length > 0) return 'enabled';
  const links = linksOf(state, name);
  if (links === null) return 'static';
  return templateOf(name) === null || links.length > 0 ? 'disabled' : 'static';
}
