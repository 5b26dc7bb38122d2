/** Relays as processes, and the chat and the forge that they send to, on loopback. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';

const SCRIPT = path.join(import.meta.dirname, 'relay-process.ts');

export interface RelayProcess {
  /** Where it accepts webhooks; null as long as it does not. */
  port(): number | null;
  /** Its output, for a test that failed. */
  output(): string;
  /** Resolves when it is gone. */
  kill(): Promise<void>;
}

/** The receiver: each request, and its answer. */
export interface FarEnd {
  readonly url: string;
  readonly requests: { path: string; body: unknown; status: number }[];
  /** Its answer. */
  status: number;
}

export interface Relays {
  start(settings: object): RelayProcess;
  farEnd(): Promise<FarEnd>;
  /** A file with this text. */
  secret(text: string): string;
  stop(): void;
}

export function createRelays(): Relays {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-relays-'));
  const children: ChildProcess[] = [];
  const servers: http.Server[] = [];
  let files = 0;
  const fileOf = (text: string) => {
    const file = path.join(dir, `file-${++files}`);
    writeFileSync(file, text);
    return file;
  };
  return {
    secret: fileOf,
    start(settings) {
      const file = fileOf(JSON.stringify({ state: path.join(dir, `state-${files}`), ...settings }));
      const child = spawn(process.execPath, [SCRIPT, file], { stdio: ['ignore', 'pipe', 'pipe'] });
      children.push(child);
      let output = '';
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (part: Buffer) => {
          output += part;
        });
      return {
        port: () => Number(/"port":(\d+)/.exec(output)?.[1] ?? 0) || null,
        output: () => output,
        async kill() {
          const gone = once(child, 'exit');
          child.kill('SIGKILL');
          await gone;
        },
      };
    },
    async farEnd() {
      const server = http.createServer((request, response) => {
        let text = '';
        request.setEncoding('utf8');
        request.on('data', (part: string) => {
          text += part;
        });
        request.on('end', () => {
          end.requests.push({
            path: request.url ?? '',
            body: text === '' ? null : JSON.parse(text),
            status: end.status,
          });
          response.writeHead(end.status).end('{"id":1}');
        });
      });
      servers.push(server);
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const end: FarEnd = { url, requests: [], status: 200 };
      return end;
    },
    stop() {
      for (const child of children) child.kill('SIGKILL');
      for (const server of servers) {
        server.closeAllConnections();
        server.close();
      }
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
