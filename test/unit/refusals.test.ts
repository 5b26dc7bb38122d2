/** Messages of a Docker engine's refusals, and which refusals count against a commit. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isOutage } from '../../agent/core/plan/target.ts';
import type { AgentError } from '../../agent/errors.ts';
import { serveDocker } from './docker-server.ts';

const ID = 'a'.repeat(64);
const OTHER = 'b'.repeat(64);
let says = '';
let served: Awaited<ReturnType<typeof serveDocker>>;

beforeAll(async () => {
  served = await serveDocker((_request, response) => {
    response.writeHead(500, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ message: says }));
  });
});
afterAll(() => served.close());

test.each([
  [`driver failed programming external connectivity on endpoint odd-web-1 (${ID})`, 'on endpoint odd-web-1'],
  [
    `The container name "/x" is already in use by container "${ID}". Remove it`,
    'already in use by container. Remove it',
  ],
  [`container ${ID} is not running`, 'container is not running'],
  ['container 0123456789ab is not running', 'container is not running'],
  [`error while removing network: network shop_front id ${ID} has active endpoints`, 'shop_front id … has active'],
  [`failed to register layer: sha256:${ID}: bad`, 'failed to register layer: sha256:…: bad'],
  ['write /var/lib/docker/tmp/GetImageBlob041112: input/output error', '/var/lib/docker/tmp/GetImageBlob…: input'],
  [
    'dial tcp: lookup r.example.com: read udp 10.0.0.2:48213->10.0.0.1:53: i/o timeout',
    'read udp 10.0.0.1:53: i/o timeout',
  ],
  ['runc: open /proc/4711/ns/net: no such file', 'open /proc/…/ns/net'],
  [
    'failed to bind host port for 10.9.9.9:80:172.18.0.2:80/tcp: cannot assign requested address',
    'host port for 10.9.9.9:80/tcp: cannot assign requested address; give an interface',
  ],
  ['exec 5f1f8a0e-8c4e-4d8e-9c57-0d8b3f6a9a11 failed', 'exec … failed'],
])('parts that change with each attempt are left out: %s', async (message, told) => {
  says = message;
  const first = (await served.docker.start(ID).catch((error: unknown) => error)) as AgentError;
  expect(first.message).toContain(told);
  says = message.replaceAll(ID, OTHER).replace('41112', '999').replace('48213', '51000').replace('4711', '12');
  const second = (await served.docker.start(ID).catch((error: unknown) => error)) as AgentError;
  expect(second.message).toBe(first.message);
});

test('the declared digest of an image stays, and so do names, ports and codes', async () => {
  says = `manifest for r.example.com/app@sha256:${ID} not found: port 8080, exit code 137`;
  const thrown = await served.docker.image(`r.example.com/app@sha256:${ID}`).catch((error: unknown) => error);
  expect((thrown as AgentError).message).toContain(says);
});

test.each<[string, string, boolean]>([
  [`No such container: ${ID}`, 'ContainerMissing', true],
  // A container whose network was to be shared, which a declaration may name.
  [`No such container: ${OTHER}`, 'EngineRefused', false],
  ['No such container: vpn', 'EngineRefused', false],
  ['container is marked for removal and cannot be started', 'ContainerMissing', true],
  ['write /var/lib/docker/containers/x/.tmp: no space left on device', 'DiskFull', true],
  ['failed to populate volume: copy: no space left on device', 'EngineRefused', false],
  ['failed to write to /sys/fs/cgroup/x/cgroup.procs: no space left on device', 'EngineRefused', false],
  ['listen tcp4 10.9.9.9:80: bind: cannot assign requested address', 'AddressMissing', false],
  ['Bind for 0.0.0.0:80 failed: port is already allocated', 'PortInUse', false],
  ['listen tcp4 0.0.0.0:80: bind: address already in use', 'PortInUse', false],
])('%s: %s', async (message, code, outage) => {
  says = message;
  const thrown = await served.docker.start(ID).catch((error: unknown) => error);
  expect(thrown).toMatchObject({ code, phase: 'apply', retry: true });
  expect(isOutage((thrown as AgentError).code)).toBe(outage);
});
