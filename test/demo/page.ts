/** The end of the demo: the page of the fleet, served by the real command until a key is pressed. */
import type { ChildProcess } from 'node:child_process';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { begin, ended, leave } from './command.ts';

export interface PageOptions {
  /** Websocket of the broker: its real address, as this machine reaches it. */
  broker: { host: string; port: number };
  /** Whether somebody is there to look: otherwise the page is only shown to exist. */
  isLooking: boolean;
}

const PORT = 8080;
const SOCKET_PORT = 9001;

/** Serves the page and prints its address, and waits for a key if somebody looks. */
export async function showPage({ broker, isLooking }: PageOptions): Promise<void> {
  const socket = await forward(broker);
  const websocket = `ws://127.0.0.1:${socket.port}`;
  const served = (await serve(websocket, PORT)) ?? (await serve(websocket, 0));
  if (served === null) throw new Error('the page of the fleet could not be served');
  try {
    const { ok } = await fetch(served.url);
    if (!ok) throw new Error(`the page of the fleet does not answer at ${served.url}`);
    const { port } = new URL(served.url);
    console.log(`\n   \u001b[1m${served.url}\u001b[0m   the fleet, live: open it in a browser`);
    console.log(
      `   From another machine: ssh -L ${port}:127.0.0.1:${port} -L ${socket.port}:127.0.0.1:${socket.port} HERE, and the same address there.`,
    );
    if (isLooking) await untilKey();
    else console.log('   It ends now; on a terminal, and without --exit, it stays until a key is pressed.');
  } finally {
    await leave(served.child);
    socket.close();
  }
}

/** @returns null if the port is in use */
async function serve(websocket: string, port: number): Promise<{ url: string; child: ChildProcess } | null> {
  const listen = `127.0.0.1:${port}`;
  const child = begin(['fleet', 'dashboard', '--websocket', websocket, '--listen', listen], 'pipe');
  if (child.stdout === null) return null;
  const lines = createInterface({ input: child.stdout });
  const url = new Promise<string | null>((resolve) => {
    lines.on('line', (line) => {
      const found = /http:\/\/\S+/.exec(line)?.[0];
      if (found !== undefined) resolve(found);
    });
    void ended(child).then(() => resolve(null));
  });
  const found = await url;
  return found === null ? null : { url: found, child };
}

/** Forwards a port of this machine's loopback to the broker, so that one ssh is enough for a browser elsewhere. */
async function forward({ host, port }: PageOptions['broker']): Promise<{ port: number; close(): void }> {
  const open = new Set<net.Socket>();
  const server = net.createServer((near) => {
    const far = net.connect(port, host);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => open.delete(one));
      one.pipe(other);
    }
  });
  const listen = (at: number) =>
    new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(at, '127.0.0.1', () => {
        server.off('error', reject);
        resolve();
      });
    });
  await listen(SOCKET_PORT).catch(() => listen(0));
  return {
    port: (server.address() as net.AddressInfo).port,
    close() {
      server.close();
      for (const one of open) one.destroy();
    },
  };
}

async function untilKey(): Promise<void> {
  console.log('\nPress a key to stop the fleet.');
  process.stdin.setRawMode(true);
  await new Promise((resolve) => process.stdin.once('data', resolve));
  process.stdin.setRawMode(false);
  process.stdin.pause();
}
