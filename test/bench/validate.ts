/** `fairlead validate` of a large fleet, beside the floor: reading the files and parsing their YAML. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseDocument } from 'yaml';
import { print } from './table.ts';

const HOSTS = 10_000;

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

export async function validateBench(): Promise<void> {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-bench-'));
  try {
    writeFleet(dir, HOSTS);
    // A commit would start a gc of its own, which is in the way of the one below.
    const settings = ['user.name=a', 'user.email=a@b', 'gc.auto=0', 'maintenance.auto=false'];
    const git = (...args: string[]) =>
      execFileSync('git', ['-C', dir, ...settings.flatMap((setting) => ['-c', setting]), ...args]);
    git('init', '-q');
    git('add', '-A');
    git('commit', '-qm', 'bench');
    git('gc', '-q');
    const began = performance.now();
    const run = spawnSync(process.execPath, ['dist/fairlead.cjs', 'validate', dir], {
      cwd: path.join(import.meta.dirname, '../..'),
      encoding: 'utf8',
    });
    const took = performance.now() - began;
    console.log(run.stdout.trim() + run.stderr.trim());
    const floorBegan = performance.now();
    for (const name of readdirSync(dir, { recursive: true, encoding: 'utf8' }))
      if (name.endsWith('.yaml')) parseDocument(readFileSync(path.join(dir, name), 'utf8'));
    const floor = performance.now() - floorBegan;
    print([
      {
        what: `validate, ${HOSTS} small hosts (to reach: 10 s on two cores)`,
        value: took,
        unit: 'ms',
        against: { name: 'parsing YAML alone', value: floor },
      },
    ]);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
