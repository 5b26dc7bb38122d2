/** Unit files on disk, and whether systemd must be asked about them again. */
import { createHash } from 'node:crypto';
import type { Clock } from '../../system/clock.ts';
import type { FileStat, Files } from '../../system/files/files.ts';
import { changedMsOf, identityOf } from '../../system/files/io.ts';
import type { Systemd, UnitRow } from '../../system/systemd/systemd.ts';
import { createFileHashes } from '../file/look/hash.ts';

export const DIR = '/etc/systemd/system';
/** systemd.unit(5): directories of unit files and their links. */
export const UNIT_DIRS: readonly string[] = [
  DIR,
  '/run/systemd/system',
  '/usr/local/lib/systemd/system',
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
];
const LINKS = /\.(wants|requires|upholds|d)$/;
/** As for hashes of files (file-hash.ts): a file this young cannot be told from one that changes later. */
const RACY_MS = 2_000;
const FULL_MS = 10 * 60 * 1_000;

export interface UnitOnDisk {
  /** Hex, of the file in /etc/systemd/system; null if there is none, '' if it is a link. */
  sha256: string | null;
  /** The file is a link to /dev/null. */
  maskedHere: boolean;
  /** File name → hex, of *.conf in /etc/systemd/system/NAME.d. */
  dropins: Readonly<Record<string, string>>;
}

export interface UnitAnswer {
  /** systemctl is-enabled */
  file: string;
  needReload: boolean;
  /** `Type=` of a service that has exited and is active: systemd.service(5). '' for others; null if nobody asked. */
  type: string | null;
}

/** For an observation that is only for health. */
export const UNASKED: UnitAnswer = { file: '', needReload: false, type: null };

export const sha256 = (text: string | Uint8Array): string => createHash('sha256').update(text).digest('hex');
export const fileOf = (name: string): string => `${DIR}/${name}`;
export const dropinDir = (name: string): string => `${DIR}/${name}.d`;

/** Reads the files of many units; a file whose stat is unchanged is not read again. */
export function createUnitReader(options: { files: Files; clock: Pick<Clock, 'now'> }) {
  const { files } = options;
  const hashes = createFileHashes(options);
  /** Leaves out links that must not be followed; throws if a file cannot be read. */
  const look = (paths: readonly string[]): Map<string, FileStat> => {
    const found = new Map<string, FileStat>();
    for (const [path, stat] of hashes.look(paths, () => true)) {
      if (stat instanceof Error) continue;
      found.set(path, stat.type === 'file' && stat.sha256 === undefined ? { ...stat, sha256: files.hash(path) } : stat);
    }
    return found;
  };
  const dropinsOf = (name: string): Record<string, string> => {
    const paths = files.list(dropinDir(name)).flatMap((f) => (f.endsWith('.conf') ? [`${dropinDir(name)}/${f}`] : []));
    const conf = [...look(paths)].flatMap(([path, stat]) =>
      stat.sha256 === undefined ? [] : [[path.slice(dropinDir(name).length + 1), stat.sha256]],
    );
    return Object.fromEntries(conf);
  };
  return (names: readonly string[]): Map<string, UnitOnDisk> => {
    const stats = look(names.flatMap((name) => [fileOf(name), dropinDir(name)]));
    return new Map(
      names.map((name) => {
        const stat = stats.get(fileOf(name));
        const maskedHere = stat?.type === 'link' && files.readlink(fileOf(name)) === '/dev/null';
        const hash = stat?.type === 'link' ? '' : (stat?.sha256 ?? null);
        const dropins = stats.has(dropinDir(name)) ? dropinsOf(name) : NO_DROPINS;
        return [name, { sha256: hash, maskedHere, dropins }];
      }),
    );
  };
}

const NO_DROPINS: Readonly<Record<string, string>> = {};

/** @returns `Type=` of a service; '' if systemd does not have it in memory */
export const typeOf = async (systemd: Systemd, { path }: UnitRow): Promise<string> =>
  path === '' ? '' : systemd.property(path, 'Service', 'Type', '');

export const hasExited = ({ name, sub }: UnitRow): boolean => sub === 'exited' && name.endsWith('.service');

/**
 * Whether units are enabled, whether systemd has read their current files, and the type of those that have exited: D-Bus
 * queries for each unit, all expensive. The answers cannot change while the directories of the units and their links do not
 * change.
 */
export function createUnitAnswers({ files, systemd, clock }: { files: Files; systemd: Systemd; clock: Clock }) {
  let last: { identity: string; askedMs: number; trusted: boolean; answers: Map<string, UnitAnswer> } | null = null;
  /** Directories that contain links, with the state of their parent when they were listed. */
  const listed = new Map<string, { identity: string; links: string[] }>();

  const fingerprint = (names: readonly string[]): { identity: string; changedMs: number } => {
    const parts: string[] = [];
    let changedMs = 0;
    const note = (path: string, stat: FileStat | Error | undefined): FileStat | undefined => {
      if (stat === undefined || stat instanceof Error) return undefined;
      parts.push(`${path} ${identityOf(stat)}`);
      changedMs = Math.max(changedMs, changedMsOf(stat));
      return stat;
    };
    for (const [dir, found] of files.statAll(UNIT_DIRS)) {
      const stat = note(dir, found);
      if (stat?.type !== 'directory') continue;
      let known = listed.get(dir);
      const now = identityOf(stat);
      if (known?.identity !== now) {
        known = { identity: now, links: files.list(dir).filter((n) => LINKS.test(n)) };
        listed.set(dir, known);
      }
      for (const [path, inner] of files.statAll(known.links.map((n) => `${dir}/${n}`))) note(path, inner);
    }
    for (const [path, stat] of files.statAll(names.map(fileOf))) note(path, stat);
    return { identity: parts.join('\n'), changedMs };
  };

  const ask = async (row: UnitRow): Promise<UnitAnswer> => {
    const [file, needReload, type] = await Promise.all([
      systemd.fileState(row.name),
      row.path === '' ? false : systemd.property(row.path, 'Unit', 'NeedDaemonReload', false),
      hasExited(row) ? typeOf(systemd, row) : '',
    ]);
    return { file, needReload, type };
  };

  return {
    async of(rows: readonly UnitRow[]): Promise<ReadonlyMap<string, UnitAnswer>> {
      const now = clock.now().getTime();
      const { identity, changedMs } = fingerprint(rows.map((r) => r.name));
      const age = last ? now - last.askedMs : 0;
      if (!last?.trusted || last.identity !== identity || age < 0 || age > FULL_MS)
        last = { identity, askedMs: now, trusted: changedMs < now - RACY_MS, answers: new Map() };
      const { answers } = last;
      await Promise.all(
        // A unit that was loaded, unloaded or run meanwhile is asked about again.
        rows
          .filter((r) => answers.get(keyOf(r)) === undefined)
          .map(async (r) => void answers.set(keyOf(r), await ask(r))),
      );
      const found = new Map(rows.map((r) => [r.name, answers.get(keyOf(r)) ?? UNASKED]));
      // Somebody else's daemon-reload leaves no trace on disk.
      for (const [key, { needReload }] of answers) if (needReload) answers.delete(key);
      return found;
    },
    /** Discards all answers after our own changes. */
    forget() {
      last = null;
    },
  };
}

const keyOf = (row: UnitRow): string => `${row.name} ${row.path} ${row.load} ${hasExited(row)}`;
