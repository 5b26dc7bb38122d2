/** `npm run lab -- up | shell HOST | down`: a lab for a person to play with. */
import { spawnSync } from 'node:child_process';
import { ensureEngine, LAB_DIR, stopEngine } from './engine.ts';
import { labContainer, removeLab, startLab } from './lab.ts';

const NAME = 'play';
const log = (line: string) => console.log(`lab: ${line}`);
const [command, ...args] = process.argv.slice(2);

if (command === 'up') {
  const lab = await startLab({ name: NAME, hosts: [{ name: 'edge-1' }, { name: 'edge-2', flavour: 'debian12' }], log });
  const repo = await lab.infra.createRepo('fleet');
  console.log(
    `up: edge-1 (Debian 13), edge-2 (Debian 12), infra. As the hosts see them: ${repo.httpUrl}, ${lab.infra.brokerUrl}, ${lab.infra.registry}`,
  );
  console.log('next: npm run lab -- shell edge-1');
} else if (command === 'shell') {
  const docker = await ensureEngine(log);
  await docker(['inspect', labContainer(NAME, args[0] ?? 'edge-1')]);
  spawnSync(
    'docker',
    ['-H', `unix://${LAB_DIR}/docker.sock`, 'exec', '-it', labContainer(NAME, args[0] ?? 'edge-1'), 'bash'],
    { stdio: 'inherit' },
  );
} else if (command === 'down') {
  await removeLab(await ensureEngine(log), NAME);
  if (args.includes('--all')) await stopEngine();
} else {
  console.error('usage: npm run lab -- up | shell HOST | down [--all: the engine too]');
  process.exitCode = 64;
}
