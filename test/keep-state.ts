/**
 * `node test/keep-state.ts`: writes test/states/<version>, the state that the agent of this version leaves after two commits, a
 * repair, a command over the broker and a mistake. Every later version must open it (unit/migrations.test.ts).
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { silentLog } from '../agent/log.ts';
import { openStore } from '../agent/store/db.ts';
import { buildProgram } from '../packaging/program.ts';

const ROOT = path.join(import.meta.dirname, '..');
const KEPT = ['history.db', 'inventory.json', 'trust.json'];

const { version } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as { version: string };
const work = mkdtempSync(path.join(os.tmpdir(), 'fairlead-state-'));
const host = path.join(work, 'host');
const repo = path.join(work, 'repo');

function put(file: string, content: string): void {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, content);
}

function commit(manifest: string, message: string): void {
  put(path.join(repo, 'hosts/edge-1/a.yaml'), manifest);
  const who = ['-c', 'user.name=Ben', '-c', 'user.email=ben@example.com'];
  execFileSync('git', [...who, '-C', repo, 'add', '-A']);
  execFileSync('git', [...who, '-C', repo, 'commit', '-qm', message]);
}

/** One run of the agent. Throws if its result is not the expected one. */
function once(exitCode: number): void {
  const program = path.join(work, 'dist/fairlead.cjs');
  const { status, stderr } = spawnSync(process.execPath, [program, '--root', host, 'agent', '--once'], {
    encoding: 'utf8',
  });
  if (status !== exitCode) throw new Error(`a run ended with ${status} in place of ${exitCode}: ${stderr}`);
}

/** There is no broker here: the agent's own store writes the record of a command that arrived over one. */
function followCommand(): void {
  const store = openStore({ dir: path.join(host, 'var/lib/fairlead'), now: () => new Date(), log: silentLog });
  const at = new Date();
  const expires = new Date(at.getTime() + 60_000).toISOString();
  const reply = { place: null, correlation: null };
  store.commands.begin({ id: 'c-1', command: 'sync', args: { reason: 'release' }, expires }, reply);
  const [last] = store.runs.list({ limit: 1 });
  if (last === undefined) throw new Error('there is no run that the command could have asked for');
  const id = store.runs.begin('manual', at.toISOString());
  const run = { ...last, id, trigger: 'manual' as const, changed: 0, repaired: 0 };
  store.runs.finish({ ...run, command: { id: 'c-1', reason: 'release' } }, [], []);
  const said = { state: 'done', reason: '', message: '', status: null, plan: null, pause: null, pin: null } as const;
  const named = { schema: 1, id: 'c-1', host: 'edge-1', fleet: 'default', command: 'sync' } as const;
  store.commands.finish('c-1', { ...named, ...said, at: at.toISOString() });
  store.close();
}

try {
  await buildProgram({ dist: path.join(work, 'dist'), version });
  mkdirSync(path.join(host, 'etc/fairlead'), { recursive: true });
  put(path.join(host, 'etc/fairlead/agent.yaml'), `host: edge-1\nrepo: {url: ${repo}}\n`);
  mkdirSync(repo);
  execFileSync('git', ['init', '-q', '-b', 'main', repo]);
  commit('files: {/etc/motd: {content: "one\\n"}, /etc/shop/: {}, /etc/shop/a.conf: {content: "a\\n"}}\n', 'First');
  once(0);
  commit('files: {/etc/motd: {content: "two\\n"}, /etc/shop/: {}, /etc/shop/b.conf: {content: "b\\n"}}\n', 'Second');
  once(0);
  writeFileSync(path.join(host, 'etc/motd'), 'drift\n');
  once(0);
  followCommand();
  commit('files: {/etc/motd: {contents: "three\\n"}}\n', 'A mistake');
  once(1);
  const kept = path.join(ROOT, 'test/states', version);
  rmSync(kept, { recursive: true, force: true });
  mkdirSync(kept, { recursive: true });
  for (const name of KEPT) copyFileSync(path.join(host, 'var/lib/fairlead', name), path.join(kept, name));
  console.log(kept);
} finally {
  rmSync(work, { recursive: true, force: true });
}
