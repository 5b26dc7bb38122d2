/** The real daemon as a process, with --root in a temporary directory, a real git repository and an embedded broker. */
import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { Aedes } from 'aedes';
import git from 'isomorphic-git';
import { type ControlClient, createControlClient } from '../../agent/control/client.ts';
import { type StatusDocument, statusDocument } from '../../manifests-schema/payloads.ts';
import { run, until } from '../lab/run.ts';

const MAIN = path.join(import.meta.dirname, '../../dist/fairlead.cjs');

/** Milliseconds that a test of the daemon waits for a condition: on a busy machine each process takes seconds to start. */
export const PATIENCE_MS = 120_000;

export interface Trial {
  root: string;
  /** The command line that starts the program. */
  main: string;
  /** Topic → retained payload. */
  retained: ReadonlyMap<string, string>;
  /** Every published status, oldest first. */
  statuses: StatusDocument[];
  /** Cuts every connection to the broker, which accepts no new one until `mend`. */
  cut(): Promise<void>;
  mend(): Promise<void>;
  /** Every message below events, parsed. */
  events: Record<string, unknown>[];
  commit(files: Record<string, string | null>, message: string): Promise<string>;
  cli(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }>;
  /** The daemon's socket, without a process for each request. */
  client: ControlClient;
  start(): Promise<void>;
  /** Sends SIGTERM, or the given signal; resolves when the daemon is gone. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
  signal(signal: NodeJS.Signals): void;
  log(): string;
  end(): Promise<void>;
}

export async function startTrial(): Promise<Trial> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fairlead-trial-'));
  const root = path.join(dir, 'root');
  const repo = path.join(dir, 'fleet');
  const broker = await Aedes.createBroker();
  const server = net.createServer(broker.handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  const retained = new Map<string, string>();
  const events: Record<string, unknown>[] = [];
  const statuses: StatusDocument[] = [];
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  broker.on('publish', (packet) => {
    if (packet.topic.startsWith('$')) return;
    const text = packet.payload.toString();
    if (packet.retain) retained.set(packet.topic, text);
    // A retained message was deleted.
    if (text === '') return;
    if (packet.topic.endsWith('/status')) statuses.push(statusDocument.parse(JSON.parse(text)));
    if (packet.topic.endsWith('/events')) events.push(JSON.parse(text) as Record<string, unknown>);
  });

  await git.init({ fs, dir: repo, defaultBranch: 'main' });
  fs.mkdirSync(path.join(root, 'etc/fairlead'), { recursive: true });
  fs.writeFileSync(
    path.join(root, 'etc/fairlead/agent.yaml'),
    `host: trial\nrepo: {url: "${repo}"}\nmqtt: {url: "mqtt://127.0.0.1:${port}", commands: [sync, plan, pause, resume, rollback]}\nsync: {schedule: "0 0 1 1 *", splay: 0s}\n`,
  );
  const logFile = path.join(dir, 'agent.log');
  let agent: ChildProcess | null = null;

  const trial: Trial = {
    root,
    main: MAIN,
    retained,
    events,
    statuses,
    cut() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      return closed;
    },
    mend: () => new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve)),
    async commit(files, message) {
      for (const [file, content] of Object.entries(files)) {
        const at = path.join(repo, file);
        if (content === null) {
          fs.rmSync(at);
          await git.remove({ fs, dir: repo, filepath: file });
        } else {
          fs.mkdirSync(path.dirname(at), { recursive: true });
          fs.writeFileSync(at, content);
          await git.add({ fs, dir: repo, filepath: file });
        }
      }
      return git.commit({ fs, dir: repo, message, author: { name: 'Ann', email: 'ann@example.com' } });
    },
    cli: (...args) => run([process.execPath, MAIN, '--root', root, ...args], { check: false, timeoutMs: PATIENCE_MS }),
    client: createControlClient({ dir: path.join(root, 'run/fairlead') }),
    async start() {
      const log = fs.openSync(logFile, 'a');
      agent = spawn(process.execPath, [MAIN, '--root', root, 'agent'], { stdio: ['ignore', log, log] });
      fs.closeSync(log);
      await until(
        'the daemon to answer',
        PATIENCE_MS,
        async () =>
          fs.existsSync(path.join(root, 'run/fairlead/status.sock')) &&
          (await trial.client.get('version').catch(() => null)) !== null,
      );
    },
    stop(signal = 'SIGTERM') {
      const running = agent;
      agent = null;
      if (running === null) return Promise.resolve(null);
      return new Promise((resolve) => {
        // It may have ended by itself before.
        if (running.exitCode !== null || running.signalCode !== null) return resolve(running.exitCode);
        running.on('close', resolve);
        running.kill(signal);
      });
    },
    signal: (signal) => void agent?.kill(signal),
    log: () => fs.readFileSync(logFile, 'utf8'),
    async end() {
      await trial.stop();
      await new Promise<void>((resolve) => broker.close(() => server.close(() => resolve())));
      fs.rmSync(dir, { recursive: true, force: true });
    },
  };
  return trial;
}
