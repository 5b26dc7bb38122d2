/** The main job, by an agent that runs out of its image; and a commit replaces that image. */
import { beforeAll, expect, test } from 'vitest';
import { agentYaml, differing, fairlead, type InstallOptions, identities } from './agent.ts';
import { builtPackage, VERSIONS } from './built-packages.ts';
import { type LabHost, until } from './lab.ts';
import { mainJob } from './main-job.ts';
import { run } from './run.ts';
import { watched } from './story.ts';

const UNIT = 'fairlead-container.service';
const UPDATE = 'fairlead-container-update.service';
const IMAGE = `fairlead:${VERSIONS.now}`;
let image: string;

beforeAll(async () => {
  image = await builtPackage('now', 'container');
});

async function install(host: LabHost, options: InstallOptions): Promise<void> {
  await host.copyIn(image, '/root/image.tar');
  await host.exec(['docker', 'load', '--input', '/root/image.tar'], { timeoutMs: 170_000 });
  // The next version, and one whose agent does not start.
  await host.sh(`docker tag ${IMAGE} fairlead:next; docker create --name made ${IMAGE}
    docker commit --change 'ENTRYPOINT ["/bin/false"]' made fairlead:broken; docker rm made`);
  await host.sh(`docker run --rm --volume /:/host ${IMAGE} install ${IMAGE}`);
  await host.write('/etc/fairlead/agent.yaml', agentYaml(host, options), '0600');
  await host.sh(`systemctl daemon-reload; systemctl enable --now ${UNIT} fairlead-container-update.path`);
}

const job = mainJob({ name: 'from-image', install, unit: UNIT });

const named = (tag: string, more = '') => ({
  'hosts/edge-1/agent.yaml': `files: {/etc/default/fairlead-container: {content: "IMAGE=fairlead:${tag}\\n${more}"}}\n`,
});
const running = async () =>
  (await job.host().exec(['docker', 'inspect', '-f', '{{.Config.Image}}', 'fairlead'], { check: false })).stdout.trim();
const updating = async () => (await job.host().exec(['systemctl', 'show', '-P', 'ActiveState', UPDATE])).stdout.trim();
const isWell = async () => (await fairlead(job.host(), 'sync')).code === 0;

test('a start of its unit is over when the agent answers', async () => {
  job.withJournal();
  await job.host().exec(['systemctl', 'restart', UNIT], { timeoutMs: 170_000 });
  expect((await fairlead(job.host(), 'status', '--json')).stdout).toContain('"schema"');
});

test('6. a commit replaces the image of the agent itself, and nothing else is changed', async () => {
  job.withJournal();
  const before = await identities(job.host(), watched);
  await job.repo().commit(named('next'), 'The next version of the agent');
  // The end of the agent may end the run that this waits for.
  await fairlead(job.host(), 'sync');
  await until('the new version', 60_000, async () => (await running()) === 'fairlead:next');
  await until('the end of the update', 90_000, async () => (await updating()) === 'inactive');
  await until('a host that is well', 60_000, isWell);
  expect(await running()).toBe('fairlead:next');
  expect(differing(before, await identities(job.host(), watched))).toEqual([]);
});

test('7. an image whose agent does not start is rolled back by the host, and the agent continues', async () => {
  job.withJournal();
  const before = await identities(job.host(), watched);
  await job.repo().commit(named('broken', 'WAIT=5\\n'), 'A version that does not start');
  await fairlead(job.host(), 'sync');
  await until('the update to fail', 120_000, async () => (await updating()) === 'failed');
  expect(await job.host().journal(UPDATE)).toContain('fairlead:broken does not answer; fairlead:next runs again');
  await until('a host that is well', 60_000, isWell);
  expect(await running()).toBe('fairlead:next');
  expect(differing(before, await identities(job.host(), watched))).toEqual([]);
});

test('the image contains only the program: it runs and reads what the host has', async () => {
  const { stdout } = await run(['tar', '-tf', image]);
  expect(stdout.split('\n').filter((name) => /^\.\/blobs\/sha256\/./.test(name))).toHaveLength(3);
  const { stdout: seen } = await job.host().sh('docker exec fairlead sh -c "readlink /usr; ls -A /host/etc/fairlead"');
  expect(seen).toBe('host/usr\nagent.yaml\n');
});

test('8. once its units are stopped, the image removes all managed resources', async () => {
  await job.host().sh(`systemctl disable --now ${UNIT} fairlead-container-update.path`);
  const given =
    '--network host --pid host --volume /:/host:rslave --cap-add SYS_ADMIN --security-opt apparmor=unconfined';
  await job.host().sh(`docker run --rm ${given} fairlead:next uninstall --remove-managed`, { timeoutMs: 120_000 });
  const left = await job.host().sh('ls /etc/app/motd /etc/systemd/system/steady.service 2>/dev/null || true');
  expect(left.stdout).toBe('');
  expect((await job.host().exec(['docker', 'ps', '-q', '--filter', 'label=com.docker.compose.project'])).stdout).toBe(
    '',
  );
});
