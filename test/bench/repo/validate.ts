/** `fairlead validate` of a large fleet, beside the floor: reading the files and parsing their YAML. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseDocument } from 'yaml';
import type { BenchRun } from '../report/runner.ts';

const HOSTS = 10_000;
const ROUNDS = 3;

/** Two roles, and small hosts: settings, a manifest with two files and a unit, a payload file, a stack of one service. */
export function writeFleet(dir: string, hosts: number): void {
  const write = (name: string, text: string) => {
    mkdirSync(path.dirname(path.join(dir, name)), { recursive: true });
    writeFileSync(path.join(dir, name), text);
  };
  write('fleet.yaml', 'name: bench\nroles: [base]\n');
  write('roles/base/motd.yaml', 'files:\n  /etc/motd: {content: "host {{ host.name }}\\n", template: true}\n');
  write('roles/web/role.yaml', 'vars: {tier: web}\n');
  write('roles/web/web.yaml', 'files:\n  /etc/web.conf: {source: files/web.conf, template: true}\n');
  write('roles/web/files/web.conf', 'tier={{ vars.tier }}\ncpus={{ facts.cpus }}\n');
  for (let i = 0; i < hosts; i++) {
    const host = `hosts/h${String(i).padStart(5, '0')}`;
    write(`${host}/host.yaml`, `roles: [web]\nlabels: {n: "${i}"}\n`);
    write(
      `${host}/system.yaml`,
      `files:\n  /etc/app/: {}\n  /etc/app/app.conf: {source: files/app.conf, mode: "0640", notify: [unit:app.service]}\nunits:\n  app.service:\n    content: |\n      [Service]\n      ExecStart=/bin/sleep ${i}\n    enabled: true\n    state: started\n`,
    );
    write(`${host}/files/app.conf`, `n=${i}\n`);
    write(
      `${host}/shop/compose.yaml`,
      `services:\n  web:\n    image: registry.example.com/web:${i}\n    ports: ["80:80"]\n`,
    );
  }
}

export async function validateBench({ isQuick, log, record }: BenchRun<'validate'>): Promise<void> {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-bench-'));
  try {
    const hosts = isQuick ? 1_000 : HOSTS;
    log(`${hosts.toLocaleString('en')} hosts; floor: reading the files and parsing their YAML`);
    writeFleet(dir, hosts);
    // A commit would start a gc of its own, which would disturb the one below.
    const settings = ['user.name=a', 'user.email=a@b', 'gc.auto=0', 'maintenance.auto=false'];
    const git = (...args: string[]) =>
      execFileSync('git', ['-C', dir, ...settings.flatMap((setting) => ['-c', setting]), ...args]);
    git('init', '-q');
    git('add', '-A');
    git('commit', '-qm', 'bench');
    git('gc', '-q');
    for (let round = 0; round < (isQuick ? 1 : ROUNDS); round++) {
      record('validate.fairlead', [timed(() => validate(dir))]);
      record('validate.floor', [timed(() => parseAll(dir))]);
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function timed(act: () => void): number {
  const began = performance.now();
  act();
  return performance.now() - began;
}

function validate(dir: string): void {
  const cwd = path.join(import.meta.dirname, '../../..');
  const { status, stderr } = spawnSync(process.execPath, ['dist/fairlead.cjs', 'validate', dir], {
    cwd,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`validate ended with ${status}: ${stderr}`);
}

function parseAll(dir: string): void {
  for (const name of readdirSync(dir, { recursive: true, encoding: 'utf8' }))
    if (name.endsWith('.yaml')) parseDocument(readFileSync(path.join(dir, name), 'utf8'));
}
