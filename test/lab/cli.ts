/** `npm run lab -- up | shell HOST | down`: a lab for manual use. */
import { spawnSync } from 'node:child_process';
import { engineFlags, findEngine, LAB_DIR, stopEngine } from './engine.ts';
import { labContainer, removeLab, startLab } from './lab.ts';
import { run } from './run.ts';

const NAME = 'play';
const USAGE = 'usage: npm run lab -- up | shell HOST | down [--all: the engine too]';
const log = (line: string) => console.log(`lab: ${line}`);

async function up(): Promise<void> {
  const lab = await startLab({
    name: NAME,
    hosts: [{ name: 'edge-1' }, { name: 'edge-2', flavour: 'debian12' }],
    kept: true,
    log,
  });
  const repo = await lab.infra.createRepo('fleet');
  console.log(
    `up: edge-1 (Debian 13), edge-2 (Debian 12), infra. As the hosts see them: ${repo.httpUrl}, ${lab.infra.brokerUrl}, ${lab.infra.registry}`,
  );
  console.log(
    'to commit: npm run lab -- shell infra, then in /srv/work/fleet: git add, git commit, git push origin HEAD:main',
  );
  console.log('next: npm run lab -- shell edge-1');
}

/** @returns an exit code */
async function shell(host: string): Promise<number> {
  const flags = await engineFlags();
  const container = labContainer(NAME, host);
  const isUp = flags && (await run(['docker', ...flags, 'inspect', container], { check: false })).code === 0;
  if (!isUp) {
    console.error(`the lab has no host ${host}; \`npm run lab -- up\` starts edge-1, edge-2 and infra`);
    return 1;
  }
  return spawnSync('docker', [...flags, 'exec', '-it', container, 'bash'], { stdio: 'inherit' }).status ?? 1;
}

/** Prints what it did: a lab that is not up, or a Docker engine that does not run, is not started in order to be stopped. */
async function down(all: boolean): Promise<void> {
  const docker = await findEngine();
  const removed = docker ? await removeLab(docker, NAME) : 0;
  log(removed > 0 ? `removed ${removed} hosts and their network` : 'no lab was up');
  if (!all) return;
  const outcome = await stopEngine();
  if (outcome === 'none') log('no engine of the lab runs');
  if (outcome === 'used') log('the engine goes on: another lab, or a test, uses it (see `docker ps` there)');
  if (outcome === 'stopped') log('stopped the engine, and removed its firewall rules');
  const size = await run(['du', '-sh', LAB_DIR], { check: false });
  if (size.code === 0)
    log(`the host images stay in ${LAB_DIR} (${size.stdout.split('\t')[0]}); \`rm -rf\` it and they are built again`);
}

const [command, ...args] = process.argv.slice(2);
if (command === 'up') await up();
else if (command === 'shell') process.exitCode = await shell(args[0] ?? 'edge-1');
else if (command === 'down') await down(args.includes('--all'));
else {
  console.error(USAGE);
  process.exitCode = 64;
}
