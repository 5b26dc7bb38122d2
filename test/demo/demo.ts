/**
 * `npm run demo`: the main job on real hosts, shown with the real command line. `-- --light`: in a temporary directory, in
 * seconds.
 */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { installAgent } from '../lab/agent.ts';
import { type Lab, type LabHost, startLab, until } from '../lab/lab.ts';
import { begin, ended, leave } from './command.ts';
import { exampleFiles, firstFiles, HOSTS, PLAIN_HOSTS, ROLLED_OUT, rolloutFiles } from './fleet.ts';
import { lightDemo } from './light.ts';
import { showPage } from './page.ts';
import { openSight, type Sight } from './sight.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const { values: flags } = parseArgs({ options: { light: { type: 'boolean' }, exit: { type: 'boolean' } } });
const isLooking = !flags.exit && process.stdin.isTTY === true;
const began = Date.now();
const step = (text: string) =>
  console.log(`\n\u001b[1m── ${((Date.now() - began) / 1000).toFixed(0)} s ── ${text}\u001b[0m`);
const note = (text: string) => console.log(`   ${text}`);

/** Runs a command on a host and shows it with its output, as a person would have seen it. */
async function show(host: LabHost, ...argv: string[]): Promise<void> {
  console.log(`\u001b[36m${host.name}#\u001b[0m ${argv.join(' ')}`);
  const { stdout, stderr } = await host.exec(argv, { check: false, timeoutMs: 120_000 });
  process.stdout.write(stdout + stderr);
}

const WEBSOCKET_PORT = 9001;
const COMMANDS = ['sync', 'plan', 'pause', 'resume', 'rollback'];

/** What the demo needs of its lab in every scene. */
interface Stage {
  lab: Lab;
  one: LabHost;
  sight: Sight;
  /** Flags of commands that an operator runs on another machine. */
  broker: readonly string[];
  infra: string;
  commit(files: Record<string, string | null>, message: string, author: string): Promise<string>;
}

async function setUp(): Promise<Stage> {
  step('booting a small fleet: six hosts with systemd, two of them with Docker, and one with git, broker and registry');
  const lab = await startLab({
    name: 'demo',
    hosts: [
      { name: 'edge-1' },
      { name: 'edge-2', flavour: 'debian12' },
      ...PLAIN_HOSTS.map((name) => ({ name, engine: false })),
    ],
    log: note,
  });
  const infra = await lab.infra.address();
  await lab.infra.write('/etc/mosquitto/conf.d/websocket.conf', `listener ${WEBSOCKET_PORT}\nprotocol websockets\n`);
  await lab.infra.exec(['systemctl', 'restart', 'mosquitto']);
  const repo = await lab.infra.createRepo('fleet');
  const sight = await openSight(`mqtt://${infra}:1883`);

  step('installing fairlead on all of them; each pulls its own directory');
  const first = await repo.commit({ ...exampleFiles(), ...firstFiles() }, 'Set up the fleet', 'Ann <ann@example.com>');
  await Promise.all(
    HOSTS.map(async (name) => {
      await installAgent(lab.host(name), { repoUrl: repo.httpUrl, schedule: '* * * * *', commands: COMMANDS });
      await sight.status(name, (s) => s.sync === 'synced' && s.applied?.commit === first);
      note(`${name} is synced`);
    }),
  );
  const broker = ['--broker', `mqtt://${infra}:1883`];
  return { lab, infra, sight, broker, one: lab.host('edge-1'), commit: repo.commit };
}

/** A commit, and the result on each host, received from the broker. */
async function rollOut({ lab, one, sight, broker, infra, commit }: Stage): Promise<void> {
  step('a rollout: one commit for the whole fleet, and a notice of it over the broker; no host waits for its schedule');
  const compose = exampleFiles()['hosts/edge-1/shop/compose.yaml'] ?? '';
  const second = await commit(
    {
      'hosts/edge-1/shop/compose.yaml': compose.replace('app:1', 'app:2'),
      'hosts/edge-1/files/motd': 'Now with version 2.\n',
      ...rolloutFiles(infra, Date.now()),
    },
    'Roll out version 2',
    'Ben <ben@example.com>',
  );
  await show(one, 'fairlead', 'plan');
  const feed = begin(['fleet', 'events', ...broker]);
  await ended(begin(['notify', ...broker, 'main', second]));
  await Promise.all([
    sight.status('edge-1', (s) => s.sync === 'synced' && s.applied?.commit === second),
    ...Object.entries(ROLLED_OUT).map(([name, { sync }]) =>
      sight.status(name, (s) => s.sync === sync && s.desired?.commit === second),
    ),
  ]);
  await leave(feed);
  for (const [name, { sync, says }] of Object.entries(ROLLED_OUT)) note(`${name} is ${sync}: it ${says}`);
  await show(lab.host('edge-4'), 'fairlead', 'status');
}

async function disturb({ lab, one, sight, broker, commit }: Stage): Promise<void> {
  step('drift: somebody edits a file and removes a container');
  await show(one, 'sh', '-c', 'echo hacked > /etc/motd; docker rm -f shop-db-1');
  note('nobody asks for it: the agent hears of it, and puts it right');
  await until('the repair', 60_000, async () => {
    const { stdout } = await one.exec(['docker', 'ps', '--format', '{{.Names}}'], { check: false });
    return stdout.includes('shop-db-1') && (await one.exec(['cat', '/etc/motd'])).stdout.includes('version 2');
  });
  await show(one, 'fairlead', 'history', '--resource', 'file:/etc/motd', '--limit', '2');
  await show(one, 'fairlead', 'show', 'service:shop/db');

  step('a bad commit: it is refused whole, with file and line, and the host keeps what it runs');
  await commit(
    { 'hosts/edge-1/extra.yaml': 'files:\n  /etc/extra.conf:\n    contnet: oops\n' },
    'A slip of the finger',
    'Ben <ben@example.com>',
  );
  await show(one, 'fairlead', 'sync');
  await show(one, 'docker', 'ps', '--format', 'table {{.Names}}\t{{.Image}}\t{{.Status}}');
  await commit({ 'hosts/edge-1/extra.yaml': null }, 'Fix it', 'Ben <ben@example.com>');
  await show(one, 'fairlead', 'sync');

  step('a host is paused over the broker, and another one loses its power');
  await ended(begin(['fleet', 'pause', 'edge-6', '--for', '2h', '--reason', 'its disk is being replaced', ...broker]));
  await lab.host('edge-2').powerOff();
  await Promise.all([sight.status('edge-6', (s) => s.gate?.kind === 'pause'), sight.offline('edge-2')]);
}

async function play(stage: Stage): Promise<void> {
  const { one, broker } = stage;
  await show(one, 'fairlead', 'status');
  await show(one, 'docker', 'ps', '--format', 'table {{.Names}}\t{{.Image}}\t{{.Status}}');
  await rollOut(stage);
  await disturb(stage);
  step('the fleet, from the broker alone');
  await ended(begin(['fleet', 'status', ...broker]));
  await show(one, 'fairlead', 'history', '--limit', '5');
}

/** The page, and all other ways to look around. */
async function look({ one, infra }: Stage): Promise<void> {
  step('the same on a page, and a look around');
  note(`a shell on a host:   docker -H unix:///var/lib/fairlead-lab/docker.sock exec -it ${one.container} bash`);
  note('there:               fairlead status · fairlead resources · fairlead show service:shop/web · fairlead history');
  note(`the broker:          mosquitto_sub -h ${infra} -v -t 'fairlead/#'`);
  await showPage({ broker: { host: infra, port: WEBSOCKET_PORT }, isLooking });
}

async function onRealHosts(): Promise<void> {
  const stage = await setUp();
  try {
    await play(stage);
    await look(stage);
  } finally {
    await stage.sight.end();
    await stage.lab.stop();
  }
  console.log(
    'The fleet is gone; the host images and the engine stay for the next time (`npm run lab -- down --all` stops the engine).',
  );
}

execFileSync(process.execPath, ['packaging/build.ts'], { cwd: ROOT, stdio: 'inherit' });
try {
  if (flags.light) await lightDemo({ step, files: exampleFiles(), isLooking });
  else await onRealHosts();
} catch (thrown) {
  console.error(`\nThe demo could not go on: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  if (!flags.light)
    console.error(
      'Where no real hosts can be booted, `npm run demo -- --light` shows the files part in a temporary directory.',
    );
  process.exit(1);
}
