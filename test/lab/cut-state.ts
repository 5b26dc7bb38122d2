/** The agent's own files after a power cut, read on this machine: none may be half written. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import Database from 'better-sqlite3';
import { createSnapshots } from '../../agent/store/snapshots.ts';
import type { LabHost } from './host.ts';
import { run } from './run.ts';

/**
 * Files that are written durably. Fetched objects are not included: the hash of a torn object differs from its name, so it is
 * fetched again.
 */
const DURABLE = '*.key *.json history.db history.db-wal accepted originals';

/** @returns the errors, one a line. Nothing is started or changed on the host. */
export async function stateWrong(host: LabHost): Promise<string[]> {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-state-'));
  try {
    const script = `cd /var/lib/fairlead 2>/dev/null || exit 0; tar -c $(ls -d ${DURABLE} 2>/dev/null) | base64`;
    const { stdout } = await host.sh(script);
    if (stdout === '') return [];
    await run(['tar', '-C', dir, '-x'], { input: Buffer.from(stdout, 'base64') });
    return [...textsWrong(dir), ...databaseWrong(path.join(dir, 'history.db')), ...(await snapshotsWrong(dir))];
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function textsWrong(dir: string): string[] {
  const files = readdirSync(dir, { recursive: true }).map(String);
  return files.flatMap((name) => {
    if (!/\.(json|key)$/.test(name)) return [];
    const text = readFileSync(path.join(dir, name), 'utf8');
    try {
      if (name.endsWith('.json')) JSON.parse(text);
      return text === '' ? [`${name} is empty`] : [];
    } catch {
      return [`${name} is half written: ${text.slice(0, 200)}`];
    }
  });
}

function databaseWrong(file: string): string[] {
  if (!existsSync(file)) return [];
  try {
    const db = new Database(file);
    const rows = db.pragma('integrity_check') as { integrity_check: string }[];
    db.close();
    const said = rows.map((row) => row.integrity_check).join('; ');
    return said === 'ok' ? [] : [`history.db: ${said}`];
  } catch (thrown) {
    return [`history.db: ${thrown instanceof Error ? thrown.message : String(thrown)}`];
  }
}

async function snapshotsWrong(dir: string): Promise<string[]> {
  const accepted = path.join(dir, 'accepted');
  if (!existsSync(accepted)) return [];
  const commits = readdirSync(accepted).filter((name) => name.endsWith('.snapshot'));
  const snapshots = createSnapshots(accepted);
  const found = await Promise.all(commits.map((name) => snapshots.load(path.basename(name, '.snapshot'))));
  return commits.filter((_, n) => found[n] === null).map((name) => `${name} is half written`);
}
