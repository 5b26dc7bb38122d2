/** What is made of an engine's refusals: which of them speak against a commit. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isOutage } from '../../agent/core/target.ts';
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

test.each<[string, string, boolean]>([
  [`No such container: ${ID}`, 'ContainerMissing', true],
  // One whose network it was to share, and that a declaration may name.
  [`No such container: ${OTHER}`, 'EngineRefused', false],
  ['No such container: vpn', 'EngineRefused', false],
  ['container is marked for removal and cannot be started', 'ContainerMissing', true],
  ['write /var/lib/docker/containers/x/.tmp: no space left on device', 'DiskFull', true],
  ['failed to populate volume: copy: no space left on device', 'EngineRefused', false],
  ['failed to write to /sys/fs/cgroup/x/cgroup.procs: no space left on device', 'EngineRefused', false],
  ['Bind for 0.0.0.0:80 failed: port is already allocated', 'PortInUse', false],
  ['listen tcp4 0.0.0.0:80: bind: address already in use', 'PortInUse', false],
])('%s: %s', async (message, code, outage) => {
  says = message;
  const thrown = await served.docker.start(ID).catch((error: unknown) => error);
  expect(thrown).toMatchObject({ code, phase: 'apply', retry: true });
  expect(isOutage((thrown as AgentError).code)).toBe(outage);
});
