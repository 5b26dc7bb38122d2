/**
 * `npm run soak -- bootstrap`: the samples of examples/bootstrap as cloud-init and Ansible themselves read them. What they do to a host is
 * played in `lab/bootstrap.test.ts` (user-data, first boot); the role is checked for its syntax alone.
 */
import path from 'node:path';
import { ensurePrograms } from '../lab/packages.ts';
import { run } from '../lab/run.ts';

const SAMPLES = path.join(import.meta.dirname, '../../examples/bootstrap');

await ensurePrograms({ 'cloud-init': 'cloud-init', 'ansible-playbook': 'ansible-core' });
for (const argv of [
  ['cloud-init', 'schema', '--config-file', path.join(SAMPLES, 'cloud-init/user-data.yaml')],
  // No inventory of this machine is asked.
  ['ansible-playbook', '--syntax-check', '--inventory', 'edge-1,', path.join(SAMPLES, 'ansible/playbook.yml')],
]) {
  const { stdout, stderr } = await run(argv);
  console.log(`bootstrap: ${argv.slice(0, 2).join(' ')}: ${(stdout + stderr).trim()}`);
}
