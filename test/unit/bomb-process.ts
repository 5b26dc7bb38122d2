/**
 * One bomb in a fresh process: `node bomb-process.ts NAME` prints a `Blast`. The kernel keeps only the peak size of a process, so
 * a bomb that runs after a larger one would hardly be measured.
 */
import { standInSecrets } from '../../agent/secrets/stand-in.ts';
import { type Blast, BOMBS, PLACES } from './bombs.ts';
import { loadRepo } from './repo.ts';

const AROUND = { 'hosts/a/host.yaml': 'roles: [r]\n', 'roles/r/role.yaml': 'vars: {}\n', 'hosts/a/files/x': 'x' };
const bomb = BOMBS[process.argv[2] ?? ''];
if (bomb === undefined) throw new Error(`there is no bomb called ${process.argv[2]}`);

// Memory that every load needs is not counted for the bomb.
await loadRepo({ ...AROUND, 'hosts/a/compose.yaml': 'services: {a: {image: x}}\n' }, { decrypt: standInSecrets });
const largest = () => process.resourceUsage().maxRSS * 1024;
const before = largest();
const blast: Blast = { issues: {}, cpuSeconds: 0, growthBytes: 0 };
for (const place of PLACES) {
  const cpu = process.cpuUsage();
  const { issues } = await loadRepo({ ...AROUND, [place]: bomb }, { decrypt: standInSecrets });
  const { user, system } = process.cpuUsage(cpu);
  blast.cpuSeconds = Math.max(blast.cpuSeconds, (user + system) / 1e6);
  blast.issues[place] = issues.map((issue) => issue.message);
}
blast.growthBytes = largest() - before;
console.log(JSON.stringify(blast));
