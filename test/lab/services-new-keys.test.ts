/**
 * Keys that `docker compose` 2.40 does not know, or handles differently: compared in `docker inspect` with hand-written
 * expectations.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type EngineOn, engineOn } from './engine-on.ts';
import { type Lab, type LabHost, startLab } from './lab.ts';

let lab: Lab;
let host: LabHost;
let engine: EngineOn;

beforeAll(async () => {
  lab = await startLab({ name: 'young', infra: 'shared', hosts: [{ name: 'ours' }] });
  host = lab.host('ours');
  engine = await engineOn(host);
});
afterAll(async () => {
  engine?.close();
  await lab?.stop();
});

const STAY = 'command: [/bin/busybox, sleep, "1000"]\n    deploy: {update_config: {monitor: 500ms}}';
const STACK = `services:
  web:
    image: infra:5000/app:1
    ${STAY}
    pull_policy: refresh
    pull_refresh_after: 12h
    env_file: [{path: raw.env, format: raw}]
    networks: {front: {interface_name: lan0, gw_priority: 5, driver_opts: {com.example.speed: 10}}, default: {priority: 10}}
    mac_address: "02:42:ac:00:00:07"
    volumes:
      - {type: volume, target: /labelled, volume: {labels: {com.example.keep: "yes"}}}
      - {type: image, source: "infra:5000/app:2", target: /assets, image: {subpath: www}}
      - {type: volume, source: data, target: /part, volume: {subpath: part, nocopy: true}}
    configs: [{source: text, target: /etc/text, mode: 0400}, word]
    secrets: [{source: word, uid: "65534", gid: "65534", mode: 0440}]
    depends_on: {fill: {condition: service_completed_successfully}}
  fill:
    image: infra:5000/app:1
    command: [/bin/busybox, mkdir, -p, /data/part]
    volumes: ["data:/data"]
  from:
    image: infra:5000/app:1
    ${STAY}
    network_mode: none
    volumes_from: ["web:ro"]
networks: {front: {}}
volumes: {data: {}}
configs:
  text: {content: "speed=\${WORD}\\n"}
  word: {environment: WORD}
secrets:
  word: {environment: WORD}
`;
const files = (text: string) => ({
  'shop/compose.yaml': text,
  'shop/raw.env': 'QUOTED="as it is" # $WORD\n',
  'shop/.env': 'WORD=fast\n',
});
// biome-ignore lint/suspicious/noExplicitAny: what the engine prints
const inspect = async (kind: string, name: string): Promise<any> =>
  JSON.parse((await host.exec(['docker', 'inspect', '--type', kind, name])).stdout)[0];

test('keys that its Docker engine supports are in inspect as they were declared', async () => {
  const first = await engine.apply(files(STACK));
  expect(first.outcome.problems).toEqual([]);
  const web = await inspect('container', 'shop-web-1');
  expect(web.Config.Env).toContain('QUOTED="as it is" # $WORD');
  expect(web.NetworkSettings.Networks.shop_front.DriverOpts).toEqual({
    'com.docker.network.endpoint.ifname': 'lan0',
    'com.example.speed': '10',
  });
  expect(web.NetworkSettings.Networks.shop_front.GwPriority).toBe(5);
  const inside = await host.sh(
    'docker exec shop-web-1 /bin/busybox sh -c "ls /sys/class/net; /bin/busybox ip route | grep default; cat /assets/index.html; touch /assets/x 2>&1 || true"',
  );
  expect(inside.stdout).toMatch(/lan0\n.*default via .* dev lan0 \nversion 2\n.*Read-only file system/s);
  // The first network by priority has it, although nothing else is declared for that one's address.
  expect(web.NetworkSettings.Networks.shop_default.MacAddress).toBe('02:42:ac:00:00:07');
  const mount = (target: string) => web.HostConfig.Mounts.find((m: { Target: string }) => m.Target === target);
  expect(mount('/labelled')).toEqual({
    ...{ Type: 'volume', Target: '/labelled' },
    // The Docker engine itself reports that the volume is anonymous.
    VolumeOptions: { Labels: { 'com.docker.volume.anonymous': '', 'com.example.keep': 'yes' } },
  });
  const { Name } = web.Mounts.find((m: { Destination: string }) => m.Destination === '/labelled');
  expect((await inspect('volume', Name)).Labels).toMatchObject({ 'com.example.keep': 'yes' });
  expect(mount('/part')).toEqual({
    ...{ Type: 'volume', Source: 'shop_data', Target: '/part' },
    VolumeOptions: { NoCopy: true, Subpath: 'part' },
  });
  const kept = '/var/lib/fairlead/secrets/shop';
  expect(['/etc/text', '/word', '/run/secrets/word'].map(mount)).toEqual([
    { Type: 'bind', Source: `${kept}/configs/text.web`, Target: '/etc/text', ReadOnly: true },
    { Type: 'bind', Source: `${kept}/configs/word`, Target: '/word', ReadOnly: true },
    { Type: 'bind', Source: `${kept}/secrets/word.web`, Target: '/run/secrets/word', ReadOnly: true },
  ]);
  const seen = await host.sh(
    'docker exec shop-web-1 /bin/busybox sh -c \'cat /etc/text /word; stat -c "%a %u %g" /etc/text /run/secrets/word\'; stat -c %a /var/lib/fairlead/secrets/shop',
  );
  expect(seen.stdout).toBe('speed=fast\nfast400 0 0\n440 65534 65534\n700\n');
  const from = await inspect('container', 'shop-from-1');
  expect(from.HostConfig.VolumesFrom).toEqual([`${web.Id}:ro`]);
  expect(from.Mounts.map((m: { RW: boolean }) => m.RW)).not.toContain(true);
  // The requested values are found again.
  expect((await engine.again()).outcome.actions).toEqual([]);
});

test('a service has the engine’s socket, and the logins of its host', async () => {
  const login = Buffer.from('me:secret-4711').toString('base64');
  await host.write('/root/.docker/config.json', JSON.stringify({ auths: { 'r.example.com': { auth: login } } }));
  const text = `services:
  tool:
    image: infra:5000/app:1
    ${STAY}
    use_api_socket: true
    # The host's own client, with what it needs to run.
    volumes: ["/usr:/usr:ro", "/usr/lib:/lib:ro", "/usr/lib64:/lib64:ro"]
`;
  const first = await engine.apply({ 'tools/compose.yaml': text });
  expect(first.outcome.problems).toEqual([]);
  const tool = await inspect('container', 'tools-tool-1');
  expect(tool.HostConfig.Binds).toContain('/var/run/docker.sock:/var/run/docker.sock:rw');
  expect(tool.Config.Env).toContain('DOCKER_CONFIG=/run/secrets/docker');
  const asked = await host.exec([
    'docker',
    'exec',
    'tools-tool-1',
    '/usr/bin/docker',
    'version',
    '-f',
    '{{.Server.APIVersion}}',
  ]);
  expect(asked.stdout).toBe('1.51\n');
  const inside = await host.exec([
    'docker',
    'exec',
    'tools-tool-1',
    '/bin/busybox',
    'cat',
    '/run/secrets/docker/config.json',
  ]);
  expect(JSON.parse(inside.stdout)).toEqual({ auths: { 'r.example.com': { auth: login } } });
  const lies = await host.sh(
    'stat -c "%a %U" /var/lib/fairlead/secrets/tools; runuser -u nobody -- cat /var/lib/fairlead/secrets/tools/docker/config.json 2>&1 || true',
  );
  expect(lies.stdout).toMatch(/^700 root\ncat: .*Permission denied\n$/);
  // No report of the run, or of the Docker engine, contains them.
  const told = JSON.stringify([first.outcome, tool, engine.store.runs.list({ limit: 10 })]);
  expect(told.includes(login) || told.includes('secret-4711')).toBe(false);
  expect((await engine.again()).outcome.actions).toEqual([]);
});
