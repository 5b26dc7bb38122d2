/** `npm run demo`: the main job on real hosts, told with the real command line. `-- --light`: in a temporary directory, in seconds. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { installAgent, statusWhere } from '../lab/agent.ts';
import { type Lab, type LabHost, startLab, until } from '../lab/lab.ts';
import { lightDemo } from './light.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const { values: flags } = parseArgs({ options: { light: { type: 'boolean' }, exit: { type: 'boolean' } } });
const began = Date.now();
const step = (text: string) =>
  console.log(`\n\u001b[1m── ${((Date.now() - began) / 1000).toFixed(0)} s ── ${text}\u001b[0m`);

/** The example fleet, as the repository will have it. */
export function exampleFiles(): Record<string, string> {
  const dir = path.join(ROOT, 'examples/fleet');
  const names = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((e) => e.isFile());
  return Object.fromEntries(
    names.map((e) => path.join(e.parentPath, e.name)).map((f) => [path.relative(dir, f), readFileSync(f, 'utf8')]),
  );
}

/** Runs a command on a host and shows it with what it prints, as a person would have seen it. */
async function show(host: LabHost, ...argv: string[]): Promise<void> {
  console.log(`\u001b[36m${host.name}#\u001b[0m ${argv.join(' ')}`);
  const { stdout, stderr } = await host.exec(argv, { check: false, timeoutMs: 120_000 });
  process.stdout.write(stdout + stderr);
}

async function play(): Promise<Lab> {
  step('booting a small fleet: two hosts with systemd and Docker, and one with git, broker and registry');
  const lab = await startLab({
    name: 'demo',
    hosts: [{ name: 'edge-1' }, { name: 'edge-2', flavour: 'debian12' }],
    log: (line) => console.log(`   ${line}`),
  });
  const one = lab.host('edge-1');
  const repo = await lab.infra.createRepo('fleet');
  const first = await repo.commit(exampleFiles(), 'Set up the fleet', 'Ann <ann@example.com>');

  step('installing fairlead on both hosts; each pulls its own directory');
  await Promise.all(
    ['edge-1', 'edge-2'].map((name) =>
      installAgent(lab.host(name), { repoUrl: repo.httpUrl, schedule: '*/5 * * * * *' }),
    ),
  );
  for (const name of ['edge-1', 'edge-2'])
    await statusWhere(lab.infra, name, 'synced', (s) => s.sync === 'synced' && s.applied?.commit === first);
  await show(one, 'fairlead', 'status');
  await show(one, 'docker', 'ps', '--format', 'table {{.Names}}\t{{.Image}}\t{{.Status}}');

  step('a commit: a new image and a new message of the day');
  const example = exampleFiles();
  const compose = example['hosts/edge-1/shop/compose.yaml'] ?? '';
  await repo.commit(
    {
      'hosts/edge-1/shop/compose.yaml': compose.replace('app:1', 'app:2'),
      'hosts/edge-1/files/motd': 'Now with version 2.\n',
    },
    'Roll out version 2',
    'Ben <ben@example.com>',
  );
  await show(one, 'fairlead', 'plan');
  await show(one, 'fairlead', 'sync');

  step('drift: somebody edits a file and removes a container');
  await show(one, 'sh', '-c', 'echo hacked > /etc/motd; docker rm -f shop-db-1');
  console.log('   nobody asks for it: the agent hears of it, and puts it right');
  await until('the repair', 60_000, async () => {
    const { stdout } = await one.exec(['docker', 'ps', '--format', '{{.Names}}'], { check: false });
    return stdout.includes('shop-db-1') && (await one.exec(['cat', '/etc/motd'])).stdout.includes('version 2');
  });
  await show(one, 'cat', '/etc/motd');
  await show(one, 'fairlead', 'history', '--resource', 'file:/etc/motd', '--limit', '2');
  await show(one, 'fairlead', 'show', 'service:shop/db');

  step('a bad commit: it is refused whole, with file and line, and the host keeps what it runs');
  await repo.commit(
    { 'hosts/edge-1/extra.yaml': 'files:\n  /etc/extra.conf:\n    contnet: oops\n' },
    'A slip of the finger',
    'Ben <ben@example.com>',
  );
  await show(one, 'fairlead', 'sync');
  await show(one, 'docker', 'ps', '--format', 'table {{.Names}}\t{{.Image}}\t{{.Status}}');
  await repo.commit({ 'hosts/edge-1/extra.yaml': null }, 'Mend it', 'Ben <ben@example.com>');
  await show(one, 'fairlead', 'sync');

  step('the fleet, from the broker alone');
  await show(one, 'fairlead', 'fleet', 'status');
  await show(one, 'fairlead', 'history', '--limit', '5');
  return lab;
}

async function untilKey(): Promise<void> {
  if (flags.exit || !process.stdin.isTTY) return;
  console.log('\nPress a key to stop the fleet.');
  process.stdin.setRawMode(true);
  await new Promise((resolve) => process.stdin.once('data', resolve));
  process.stdin.setRawMode(false);
  process.stdin.pause();
}

execFileSync(process.execPath, ['packaging/build.ts'], { cwd: ROOT, stdio: 'inherit' });
if (flags.light) await lightDemo({ step, files: exampleFiles() });
else {
  let lab: Lab;
  try {
    lab = await play();
  } catch (thrown) {
    console.error(`\nThe demo could not go on: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
    console.error(
      'Where no real hosts can be booted, `npm run demo -- --light` shows the files part in a temporary directory.',
    );
    process.exit(1);
  }
  step('look around');
  console.log(
    `   a shell on a host:   docker -H unix:///var/lib/fairlead-lab/docker.sock exec -it ${lab.host('edge-1').container} bash`,
  );
  console.log(
    '   there:               fairlead status · fairlead resources · fairlead show service:shop/web · fairlead history',
  );
  console.log(`   the broker:          mosquitto_sub -h ${await lab.infra.address()} -v -t 'fairlead/#'`);
  await untilKey();
  await lab.stop();
  console.log(
    'The fleet is gone; the host images and the engine stay for the next time (`npm run lab -- down --all` stops the engine).',
  );
}
