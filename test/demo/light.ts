/** The demo without hosts: the agent with --root in a temporary directory, an embedded broker, files only. */
import { spawn } from 'node:child_process';
import fs, { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { Aedes } from 'aedes';
import git from 'isomorphic-git';
import { createWebSocketStream, WebSocketServer } from 'ws';
import { run, until } from '../lab/run.ts';
import { MAIN } from './command.ts';
import { showPage } from './page.ts';

export interface LightDemo {
  step(text: string): void;
  files: Record<string, string>;
  /** Whether somebody is there to look at the page. */
  isLooking: boolean;
}

export async function lightDemo({ step, files, isLooking }: LightDemo): Promise<void> {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-demo-'));
  const root = path.join(dir, 'root');
  const repo = path.join(dir, 'fleet');
  const broker = await Aedes.createBroker();
  const server = net.createServer(broker.handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  const web = http.createServer();
  const sockets = new WebSocketServer({ server: web });
  sockets.on('connection', (socket) => broker.handle(createWebSocketStream(socket) as unknown as net.Socket));
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  const socketPort = (web.address() as net.AddressInfo).port;

  const fairlead = (...args: string[]) => {
    console.log(`$ fairlead ${args.join(' ')}`);
    return new Promise<void>((resolve) =>
      spawn(process.execPath, [MAIN, '--root', root, ...args], { stdio: 'inherit' }).on('close', () => resolve()),
    );
  };
  const commit = async (changes: Record<string, string>, message: string) => {
    for (const [file, content] of Object.entries(changes)) {
      mkdirSync(path.dirname(path.join(repo, file)), { recursive: true });
      writeFileSync(path.join(repo, file), content);
      await git.add({ fs, dir: repo, filepath: file });
    }
    await git.commit({ fs, dir: repo, message, author: { name: 'Ann', email: 'ann@example.com' } });
  };

  try {
    step(`a fleet repository in ${repo}, a broker on 127.0.0.1:${port}, a host in ${root}`);
    await git.init({ fs, dir: repo, defaultBranch: 'main' });
    await commit({ 'README.md': 'The fleet.\n' }, 'Begin');
    mkdirSync(path.join(root, 'etc/fairlead'), { recursive: true });
    const config = `host: light-1\nrepo: {url: "${repo}"}\nmqtt: {url: "mqtt://127.0.0.1:${port}"}\nsync: {schedule: "0 0 1 1 *", splay: 0s}\n`;
    writeFileSync(path.join(root, 'etc/fairlead/agent.yaml'), config);
    const log = fs.openSync(path.join(dir, 'agent.log'), 'w');
    const agent = spawn(process.execPath, [MAIN, '--root', root, 'agent'], { stdio: ['ignore', log, log] });
    const ended = new Promise((resolve) => agent.on('close', resolve));
    // The run at its start reads a repository without this host; then the story begins.
    await until('the first run of the agent', 20_000, async () => {
      const { stdout } = await run([process.execPath, MAIN, '--root', root, 'status', '--json'], { check: false });
      return (JSON.parse(stdout) as { run: unknown }).run !== null;
    });

    step('the first sync');
    await commit(files, 'Set up the fleet');
    await fairlead('plan');
    await fairlead('sync');
    console.log(readFileSync(path.join(root, 'etc/app/app.conf'), 'utf8'));
    step('a commit');
    await commit({ 'hosts/light-1/files/motd': 'Changed by a commit.\n' }, 'Change the motd');
    await fairlead('plan');
    await fairlead('sync');
    step('a drift, and its repair');
    writeFileSync(path.join(root, 'etc/motd'), 'hacked\n');
    await until(
      'the repair, without a request',
      20_000,
      async () => !readFileSync(path.join(root, 'etc/motd'), 'utf8').includes('hacked'),
    );
    await fairlead('history', '--limit', '2');
    step('a bad commit');
    await commit(
      { 'hosts/light-1/extra.yaml': 'files:\n  /etc/extra.conf:\n    contnet: oops\n' },
      'A slip of the finger',
    );
    await fairlead('sync');
    step('the fleet, from the broker alone');
    await fairlead('fleet', 'status');
    await fairlead('history');
    step('the same on a page');
    await showPage({ broker: { host: '127.0.0.1', port: socketPort }, isLooking });
    agent.kill('SIGTERM');
    await ended;
  } finally {
    sockets.close();
    web.close();
    await new Promise((resolve) => broker.close(() => server.close(resolve)));
    rmSync(dir, { recursive: true, force: true });
  }
}
