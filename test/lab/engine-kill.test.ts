/**
 * kill -9 at the calls (sweep.ts: each, or a sample) that change something on the Docker engine, before one reaches the engine
 * and after it was carried out: a proxy between the two counts the calls and kills the agent. The next run converges, and leaves
 * no orphan.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SAMPLED, strideOf, THOROUGH } from '../sweep.ts';
import { installAgent } from './agent.ts';
import { type FleetRepo, type Lab, type LabHost, startLab, until } from './lab.ts';
import { HEALTH } from './story.ts';

const H = 'hosts/edge-1';
/** argv: which call, `before` or `after`. The agent's process id is in /run/agent.pid; the call is written to /run/killed. */
const PROXY = `const http = require('http');
const fs = require('fs');
const [at, side] = [Number(process.argv[2]), process.argv[3]];
let calls = 0;
const kill = (request) => {
  fs.writeFileSync('/run/killed', side + ' ' + request.method + ' ' + request.url.replace(/[0-9a-f]{64}/g, 'ID'));
  process.kill(Number(fs.readFileSync('/run/agent.pid', 'utf8')), 'SIGKILL');
};
http.createServer((request, response) => {
  const hit = request.method !== 'GET' && request.method !== 'HEAD' && ++calls === at;
  if (hit && side === 'before') return kill(request);
  const { method, headers, url: path } = request;
  const onward = http.request({ socketPath: '/run/docker.sock', method, headers, path }, (answer) => {
    if (hit) return answer.resume().on('end', () => kill(request));
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  request.pipe(onward);
}).listen('/run/proxy.sock');
`;
const ONCE = 'echo $$ > /run/agent.pid; exec fairlead agent --once --config';

let lab: Lab;
let host: LabHost;
let repo: FleetRepo;

beforeAll(async () => {
  lab = await startLab({ name: 'engine-kill', hosts: [{ name: 'edge-1' }] });
  host = lab.host('edge-1');
  repo = await lab.infra.createRepo('fleet');
  await repo.commit(filesOf(0), 'The first');
  await installAgent(host, { repoUrl: repo.httpUrl });
  await host.exec(['systemctl', 'disable', '--now', 'fairlead.service'], { timeoutMs: 60_000 });
  await host.write('/run/proxy.cjs', PROXY);
  const yaml = (more: string) => `host: edge-1\nrepo: {url: "${repo.httpUrl}"}\n${more}`;
  await host.write('/etc/fairlead/direct.yaml', yaml(''));
  await host.write('/etc/fairlead/proxied.yaml', yaml('docker: {socket: /run/proxy.sock}\n'));
});
afterAll(async () => lab?.stop());

/** Each version replaces one service, creates one and a network, and removes those of the version before. */
const filesOf = (version: number) => ({
  [`${H}/shop/compose.yaml`]: `services:
  web:
    image: infra:5000/app:1
    environment: {VERSION: "${version}"}
    stop_grace_period: 1s
    networks: [default, side]
    ${HEALTH}
  only${version}:
    image: infra:5000/app:1
    networks: [net${version}]
    ${HEALTH}
networks:
  side: {}
  net${version}: {}
`,
});

/** The state of the host, read without fairlead. */
async function stateOfHost(): Promise<string[]> {
  const { stdout } = await host.sh(
    `docker ps -a --format '{{.Names}} {{.State}}'; docker network ls --format 'network {{.Name}}' | grep -v -E ' (bridge|host|none)$'
docker inspect -f '{{.Config.Env}}' shop-web-1 | grep -o 'VERSION=[0-9]*'`,
  );
  return stdout.trim().split('\n').sort();
}
const expected = (version: number) =>
  [
    `VERSION=${version}`,
    ...['default', 'side', `net${version}`].map((name) => `network shop_${name}`),
    ...['web', `only${version}`].map((name) => `shop-${name}-1 running`),
  ].sort();

test('wherever the agent is killed, the next run converges', async () => {
  const direct = ['sh', '-c', `${ONCE} /etc/fairlead/direct.yaml`];
  await host.exec(direct);
  expect(await stateOfHost()).toEqual(expected(0));
  const killed: string[] = [];
  let version = 0;
  for (const [salt, side] of ['before', 'after'].entries()) {
    const { first, step } = strideOf(5, salt);
    for (let at = first; ; at += step) {
      version++;
      await repo.commit(filesOf(version), `Version ${version}`);
      const unit = ['--unit=proxy', '--collect', '/usr/lib/fairlead/node', '/run/proxy.cjs', String(at), side];
      await host.sh('rm -f /run/proxy.sock /run/killed');
      await host.exec(['systemd-run', '--quiet', ...unit]);
      await until('the proxy', 20_000, async () => (await host.exec(['test', '-S', '/run/proxy.sock'])).code === 0);
      await host.exec(['sh', '-c', `${ONCE} /etc/fairlead/proxied.yaml`], { check: false });
      await host.exec(['systemctl', 'stop', 'proxy.service']);
      const where = (await host.exec(['cat', '/run/killed'], { check: false })).stdout;
      const again = await host.exec(direct, { check: false });
      expect([again.code, where, again.code === 0 ? '' : again.stdout]).toEqual([0, where, '']);
      expect(await stateOfHost(), `${SAMPLED}, killed ${where} (call ${at})`).toEqual(expected(version));
      if (where === '') break;
      killed.push(where);
    }
  }
  console.log(`killed at ${killed.length} calls`);
  expect(killed.length).toBeGreaterThan(2);
  // A whole sweep covers both sides of each kind of call.
  const kinds = [
    'POST .*/containers/create',
    'POST .*/start',
    'POST .*/stop',
    'POST .*/rename',
    'DELETE .*/containers/',
  ];
  for (const side of THOROUGH ? ['before', 'after'] : [])
    for (const kind of [...kinds, 'POST .*/networks/create', 'DELETE .*/networks/'])
      expect(
        killed.some((k) => new RegExp(`^${side} ${kind}`).test(k)),
        `${side} ${kind}`,
      ).toBe(true);
  expect((await host.exec(['fairlead', 'history', '--limit', '500'], { check: false })).stdout).not.toMatch(
    /rolled-back|rolled back/,
  );
}, 1_500_000);
