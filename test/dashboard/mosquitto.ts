/** A real mosquitto on this machine with a websocket listener, for the page in a browser. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { until } from '../lab/run.ts';
import type { Certificates } from './certificates.ts';

export interface Mosquitto {
  /** For hosts. */
  readonly url: string;
  /** For the page. */
  readonly websocket: string;
  /** Process id of the current process; throws while it is paused. */
  pid(): number;
  /** Stops it until `resume`. */
  pause(): Promise<void>;
  /** Starts it again at the same ports, without retained messages. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface MosquittoOptions {
  /** name → password; without it, everybody may connect. */
  users?: Readonly<Record<string, string>>;
  /** The websocket is encrypted and requests a client certificate, whose common name is the user; only `operator` may read. */
  certificates?: Certificates;
}

const ACL = `topic readwrite #

user operator
topic read fairlead/f/#
topic readwrite fairlead/f/replies/#
`;

export async function startMosquitto({ users = {}, certificates }: MosquittoOptions = {}): Promise<Mosquitto> {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-mosquitto-'));
  const [port, wsPort] = [await freePort(), await freePort()];
  const passwords = path.join(dir, 'passwords');
  const names = Object.keys(users);
  if (names.length > 0) {
    writeFileSync(passwords, names.map((name) => `${name}:${users[name]}\n`).join(''), { mode: 0o600 });
    execFileSync('mosquitto_passwd', ['-U', passwords]);
  }
  const own = certificates?.of('broker');
  const acl = path.join(dir, 'acl');
  if (certificates) writeFileSync(acl, ACL, { mode: 0o600 });
  const lines = [
    `listener ${port} 127.0.0.1`,
    `listener ${wsPort} 127.0.0.1`,
    'protocol websockets',
    ...(own && certificates
      ? [
          ...[`cafile ${certificates.ca}`, `certfile ${own.cert}`, `keyfile ${own.key}`],
          ...['require_certificate true', 'use_identity_as_username true', `acl_file ${acl}`],
        ]
      : []),
    ...(names.length > 0 ? [`password_file ${passwords}`, 'allow_anonymous false'] : ['allow_anonymous true']),
    'persistence false',
    'log_dest none',
    `user ${os.userInfo().username}`,
  ];
  writeFileSync(path.join(dir, 'mosquitto.conf'), `${lines.join('\n')}\n`);
  const url = `mqtt://127.0.0.1:${port}`;
  let child: ChildProcess | null = null;
  const broker: Mosquitto = {
    url,
    websocket: certificates ? `wss://localhost:${wsPort}` : `ws://127.0.0.1:${wsPort}`,
    pid() {
      if (child?.pid === undefined) throw new Error('mosquitto does not run');
      return child.pid;
    },
    async start() {
      child = spawn('/usr/sbin/mosquitto', ['-c', path.join(dir, 'mosquitto.conf')], { stdio: 'ignore' });
      await until('mosquitto', 60_000, async () => (await isOpen(port)) && (await isOpen(wsPort)));
    },
    async pause() {
      const running = child;
      child = null;
      if (running === null || running.exitCode !== null) return;
      const ended = new Promise((resolve) => running.once('exit', resolve));
      running.kill();
      await ended;
    },
    async stop() {
      await broker.pause();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  await broker.start();
  return broker;
}

const isOpen = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });

/** The first port that the kernel never assigns by itself (ip(7), ip_local_port_range), and the number of these ports. */
const [FIRST_PORT, PORTS] = [20_000, 12_000];

/** A port that nobody else is given until mosquitto listens there. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS);
    const server = net.createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}
