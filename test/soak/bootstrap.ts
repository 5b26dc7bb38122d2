/**
 * `npm run soak -- bootstrap`: the samples of examples/bootstrap as cloud-init and Ansible themselves read them, and the Ansible
 * role run on a host. `lab/bootstrap.test.ts` runs the others on a host (user-data, first boot).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ensurePrograms } from '../lab/packages.ts';
import { run } from '../lab/run.ts';
import { playRole } from './ansible.ts';

const SAMPLES = path.join(import.meta.dirname, '../../examples/bootstrap');

await ensurePrograms({
  ...{ 'cloud-init': 'cloud-init', 'ansible-playbook': 'ansible-core', ssh: 'openssh-client' },
  ...{ 'dpkg-deb': 'dpkg', strip: 'binutils', zstd: 'zstd' },
});
for (const argv of [
  ['cloud-init', 'schema', '--config-file', path.join(SAMPLES, 'cloud-init/user-data.yaml')],
  // Uses no inventory of this machine.
  ['ansible-playbook', '--syntax-check', '--inventory', 'edge-1,', path.join(SAMPLES, 'ansible/playbook.yml')],
]) {
  const { stdout, stderr } = await run(argv);
  console.log(`bootstrap: ${argv.slice(0, 2).join(' ')}: ${(stdout + stderr).trim()}`);
}
const work = mkdtempSync(path.join(os.tmpdir(), 'fairlead-ansible-'));
try {
  await playRole({ sample: path.join(SAMPLES, 'ansible'), work });
} finally {
  rmSync(work, { recursive: true, force: true });
}
