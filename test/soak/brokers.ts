/**
 * Whether a fleet is read completely, and equally, from each broker in Debian: mosquitto 2.0 and the one of the next release,
 * NATS (3.1.1) and RabbitMQ, which sends no retained messages to wildcards. They run in roots of Debian's packages, on ports of
 * this machine. As root, with debootstrap(8).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { readFleet } from '../../agent/fleet/client.ts';
import { isWell } from '../../agent/fleet/reader/model.ts';
import { populate } from '../channel/populate.ts';
import { LAB_DIR } from '../lab/engine.ts';
import { debianMirror } from '../lab/image-build.ts';
import { run } from '../lab/run.ts';

const SUITE = 'trixie';
const NEXT_SUITE = 'forky';
const PACKAGES = ['mosquitto', 'nats-server', 'rabbitmq-server'];
const SIZES = [1, 1_000, 10_000];
const READ_MS = 600_000;
const START_MS = 180_000;
const PACKAGES_MS = 1_800_000;

interface Broker {
  name: string;
  port: number;
  /** Path below the root → text. */
  files: Record<string, string>;
  argv: readonly string[];
  env?: Record<string, string>;
  /** Whether it lists a fleet by its index; otherwise the reader gets a list of names. */
  lists: boolean;
}

const mosquitto = (name: string, port: number): Broker => ({
  ...{ name, port, lists: true, argv: ['mosquitto', '-c', '/etc/brokers.conf'] },
  files: { 'etc/brokers.conf': `listener ${port} 127.0.0.1\nallow_anonymous true\npersistence false\n` },
});
const BROKERS: readonly Broker[] = [
  mosquitto('mosquitto 2.0', 18_951),
  {
    ...{ name: 'NATS 2.10', port: 18_952, lists: true, argv: ['nats-server', '-c', '/etc/brokers.conf'] },
    files: {
      'etc/brokers.conf':
        'server_name: fairlead\nlisten: "127.0.0.1:18953"\njetstream {store_dir: "/var/lib/nats"}\nmqtt {listen: "127.0.0.1:18952"}\n',
    },
  },
  {
    ...{ name: 'RabbitMQ 4', port: 18_954, lists: false, argv: ['/usr/lib/rabbitmq/bin/rabbitmq-server'] },
    files: {
      'etc/rabbitmq/rabbitmq.conf': [
        ...['listeners.tcp.1 = 127.0.0.1:18955', 'mqtt.listeners.tcp.1 = 127.0.0.1:18954'],
        ...['mqtt.allow_anonymous = true', 'anonymous_login_user = guest', 'anonymous_login_pass = guest', ''],
      ].join('\n'),
      'etc/rabbitmq/enabled_plugins': '[rabbitmq_mqtt].\n',
    },
    env: {
      ...{ HOME: '/var/lib/rabbitmq', RABBITMQ_NODENAME: 'fairlead@localhost', ERL_EPMD_ADDRESS: '127.0.0.1' },
      ...{ ERL_EPMD_PORT: '18956', RABBITMQ_DIST_PORT: '18957' },
    },
  },
];

/** An older debootstrap does not know each suite's name, but can install it with an older suite's script. */
const SCRIPT = '/usr/share/debootstrap/scripts/sid';

async function makeRoot(dir: string, suite: string, packages: readonly string[]): Promise<string> {
  const root = path.join(dir, suite);
  const argv = ['--variant=minbase', `--include=${packages.join(',')}`, suite, root, debianMirror(), SCRIPT];
  await run(['debootstrap', ...argv], { timeoutMs: PACKAGES_MS });
  return root;
}

async function start(root: string, { port, files, argv, env = {} }: Broker, log: string): Promise<ChildProcess> {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    writeFileSync(path.join(root, name), text);
  }
  const child = spawn('chroot', [root, ...argv], { env: { PATH: process.env.PATH, ...env }, detached: true });
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (text) => appendFileSync(log, text));
  const end = Date.now() + START_MS;
  while (!(await isOpen(port))) {
    if (child.exitCode !== null || Date.now() > end) throw new Error(`${argv[0]} did not start; its log: ${log}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return child;
}

const isOpen = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => resolve(true));
    socket.on('error', () => resolve(false)).on('connect', () => socket.destroy());
  });

/**
 * It runs in a process group of its own, with its children. Resolves when all of them are gone and their last output is written.
 */
async function kill(child: ChildProcess): Promise<void> {
  if (child.pid === undefined) return;
  const closed = once(child, 'close');
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has ended.
    return;
  }
  await closed;
}

/** @returns a digest of all rows */
async function read(url: string, size: number, lists: boolean): Promise<string> {
  const hosts = Array.from({ length: size }, (_, i) => `edge-${i}`);
  const prefix = `size-${size}`;
  await populate(url, prefix, hosts);
  const options = { broker: { url }, prefix, fleet: 'f', timeoutMs: READ_MS };
  if (!lists) {
    const refused = await readFleet(options).then(
      () => '',
      (thrown: Error) => thrown.message,
    );
    if (!/exact topics alone/.test(refused))
      throw new Error(`it should say that it lists nothing, and said: ${refused}`);
  }
  const began = performance.now();
  const { rows } = await readFleet({ ...options, ...(lists ? {} : { hosts }) });
  const tookMs = Math.round(performance.now() - began);
  const well = rows.filter(isWell).length;
  console.log(`   ${size} hosts: ${rows.length} rows, ${well} well, ${tookMs} ms`);
  if (rows.length !== size || well !== size) throw new Error(`${rows.length} rows, ${well} of ${size} well`);
  return createHash('sha256').update(JSON.stringify(rows)).digest('hex');
}

async function main(): Promise<boolean> {
  mkdirSync(LAB_DIR, { recursive: true });
  const dir = mkdtempSync(path.join(LAB_DIR, 'brokers-'));
  let isGood = true;
  const digests = new Map<number, string>();
  try {
    const root = await makeRoot(dir, SUITE, PACKAGES);
    const next = await makeRoot(dir, NEXT_SUITE, ['mosquitto']);
    const newest = { at: next, broker: mosquitto('mosquitto of the next release', 18_958) };
    for (const { at, broker } of [...BROKERS.map((one) => ({ at: root, broker: one })), newest]) {
      console.log(broker.name);
      let child: ChildProcess | null = null;
      try {
        child = await start(at, broker, path.join(dir, 'log'));
        for (const size of SIZES) {
          const digest = await read(`mqtt://127.0.0.1:${broker.port}`, size, broker.lists);
          if ((digests.get(size) ?? digest) !== digest)
            throw new Error(`${size} hosts: other rows than by other brokers`);
          digests.set(size, digest);
        }
      } catch (thrown) {
        isGood = false;
        console.log(`   FAILED: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
      } finally {
        if (child) await kill(child);
      }
    }
  } finally {
    if (existsSync(dir)) rmSync(dir, { recursive: true, force: true });
  }
  return isGood;
}

process.exitCode = (await main()) ? 0 : 1;
