/**
 * The directory in which the agent and packaging/scripts/upgrade.sh meet: the order with its package, and what became of it. Lines
 * of `key=value`, since a shell reads and writes them; each file is whole and durable under its name.
 */
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import type { UpgradeOrder, UpgradeResult } from '../core/version/agent-upgrade.ts';
import type { PackageFormat } from '../core/version/agent-wanted.ts';
import { replaceFile } from '../store/disk/durable-file.ts';

export interface Order {
  version: string;
  from: string;
  format: PackageFormat;
  /** Name of the package in `packageDir`. */
  file: string;
  sha256: string;
  /** Length of the new agent's trial. */
  seconds: number;
  /** Names of the far ends that it must reach. */
  reached: readonly string[];
}

/** Packages that failed here, of which this many are remembered. */
const MAX_BAD = 20;
/** Files that an interrupted order may have left, and that the script reads. */
const STALE = ['phase', 'tries', 'unit', 'cause', 'restoring'];

export function createOrders(dir: string) {
  const file = (name: string) => path.join(dir, name);
  const badFile = (sha256: string) => file(`bad/${sha256}`);
  return {
    packageDir: file('package'),
    /** Made again, empty, for a package. */
    clear() {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      chmodSync(dir, 0o700);
      rmSync(file('package'), { recursive: true, force: true });
      mkdirSync(file('package'), { mode: 0o700 });
    },
    isOpen: () => existsSync(file('order')),
    /** The package is, or was being, put in place: from then on the agents that start are a part of it. */
    isOnTrial: () => existsSync(file('phase')) && readFileSync(file('phase'), 'utf8').trim() !== 'switching',
    /** @param script what carries it out: kept here, since the program is about to be replaced */
    write(order: Order, script: string) {
      for (const name of STALE) rmSync(file(name), { force: true });
      copyFileSync(script, file('upgrade.sh.new'));
      replaceFile(file('upgrade.sh'), readFileSync(file('upgrade.sh.new'), 'utf8'));
      rmSync(file('upgrade.sh.new'));
      const lines = Object.entries({ ...order, reached: order.reached.join(' ') }).map(([k, v]) => `${k}=${v}\n`);
      replaceFile(file('order'), lines.join(''));
    },
    withdraw: () => rmSync(file('order'), { force: true }),
    pending(): UpgradeOrder | null {
      const order = readLines(file('order'));
      if (order === null) return null;
      const sinceMs = statSync(file('order'), { throwIfNoEntry: false })?.mtimeMs ?? 0;
      return {
        version: order.version ?? '',
        from: order.from ?? '',
        since: iso(sinceMs),
        until: iso(sinceMs + Number(order.seconds ?? 0) * 1_000),
      };
    },
    result: () => resultOf(readLines(file('result'))),
    bad: (sha256: string) => resultOf(readLines(badFile(sha256))),
    forget: (sha256: string) => rmSync(badFile(sha256), { force: true }),
    /** The oldest go. */
    prune() {
      if (!existsSync(file('bad'))) return;
      const ages = readdirSync(file('bad')).map((name) => ({ name, at: statSync(badFile(name)).mtimeMs }));
      for (const { name } of ages.sort((a, b) => b.at - a.at).slice(MAX_BAD)) rmSync(badFile(name), { force: true });
    },
  };
}

const iso = (ms: number): string => new Date(ms).toISOString();

function readLines(file: string): Readonly<Record<string, string>> | null {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return null;
  }
  return Object.fromEntries(
    text
      .split('\n')
      .map((line) => /^([a-z0-9]+)=(.*)$/.exec(line))
      .flatMap((found) => (found === null ? [] : [[found[1] ?? '', found[2] ?? ''] as const])),
  );
}

function resultOf(lines: ReturnType<typeof readLines>): UpgradeResult | null {
  if (lines === null) return null;
  const { version = '', sha256 = '', from = '', verdict, cause = '', message = '', at = '' } = lines;
  const seconds = Number(at);
  if (version === '' || !Number.isSafeInteger(seconds)) return null;
  return {
    ...{ version, sha256, from, cause, message },
    verdict: verdict === 'upgraded' ? 'upgraded' : 'failed',
    at: iso(seconds * 1_000),
  };
}
