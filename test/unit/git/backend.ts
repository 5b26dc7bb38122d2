/** A real git server in this process: `git http-backend` behind Node's http, with counters of the traffic. */
import { execFileSync, spawn } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import os from 'node:os';
import path from 'node:path';

/** @param body the complete body of the request */
type Interceptor = (request: http.IncomingMessage, response: http.ServerResponse, body: Buffer) => boolean;

export interface Backend {
  url(repo: string): string;
  readonly root: string;
  /** Requests and body bytes since the last call, as the client sees them; `wire` counts headers too, in both directions. */
  traffic(): { requests: number; sent: number; received: number; wire: number };
  /** Called before each request; returns true if it handled it. */
  intercept(handler: Interceptor | null): void;
  stop(): Promise<void>;
}

const ENV = {
  PATH: process.env.PATH ?? '',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_AUTHOR_NAME: 'Ann',
  GIT_AUTHOR_EMAIL: 'ann@example.com',
  GIT_COMMITTER_NAME: 'Carl',
  GIT_COMMITTER_EMAIL: 'carl@example.com',
};

export const git = (cwd: string, ...args: string[]): string =>
  execFileSync('git', args, { cwd, env: ENV, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();

export const scratch = (): string => mkdtempSync(path.join(os.tmpdir(), 'fairlead-git-'));

/** A repository that supports filters, and its work tree. */
export interface Fixture {
  /** The path of the repository on servers: commits in `work` are there at once. */
  dir: string;
  work: string;
  /** Writes files (null deletes) and commits them. @returns the commit id */
  commit(files: Record<string, string | null>, message?: string): string;
}

export function createFixture(root: string, name = 'fleet.git'): Fixture {
  const dir = path.join(root, name);
  const work = path.join(root, `${name}.work`);
  git(root, 'init', '-q', '-b', 'main', work);
  symlinkSync(path.join(work, '.git'), dir);
  const settings = '[uploadpack]\n\tallowFilter = true\n[receive]\n\tdenyCurrentBranch = ignore\n[gc]\n\tauto = 0\n';
  // Its own remote: tests push there what exists in no work tree.
  appendFileSync(path.join(dir, 'config'), `${settings}[remote "origin"]\n\turl = ${dir}\n`);
  return {
    dir,
    work,
    commit(files, message = 'Change') {
      for (const [file, content] of Object.entries(files)) {
        const full = path.join(work, file);
        if (content === null) rmSync(full, { recursive: true, force: true });
        else {
          mkdirSync(path.dirname(full), { recursive: true });
          writeFileSync(full, content);
        }
      }
      git(work, 'add', '-A');
      git(work, 'commit', '-q', '--allow-empty', '-m', message);
      return git(work, 'rev-parse', 'HEAD');
    },
  };
}

export async function startBackend(root: string): Promise<Backend> {
  const count = { requests: 0, sent: 0, received: 0 };
  const sockets = new Set<Socket>();
  let closed = 0;
  let told = 0;
  const bytesOf = (socket: Socket) => socket.bytesRead + socket.bytesWritten;
  let handler: Interceptor | null = null;
  const server = http.createServer(async (request, response) => {
    count.requests++;
    const body = Buffer.concat(await request.toArray().catch(() => []));
    if (handler?.(request, response, body)) return;
    count.sent += body.length;
    const url = new URL(request.url ?? '/', 'http://localhost');
    const child = spawn('git', ['http-backend'], {
      env: {
        ...ENV,
        GIT_PROJECT_ROOT: root,
        GIT_HTTP_EXPORT_ALL: '1',
        PATH_INFO: decodeURIComponent(url.pathname),
        QUERY_STRING: url.search.slice(1),
        REQUEST_METHOD: request.method ?? 'GET',
        CONTENT_TYPE: request.headers['content-type'] ?? '',
        ...(typeof request.headers['git-protocol'] === 'string'
          ? { GIT_PROTOCOL: request.headers['git-protocol'] }
          : {}),
        ...(request.headers['content-length'] ? { CONTENT_LENGTH: request.headers['content-length'] } : {}),
      },
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(body);
    let head = Buffer.alloc(0);
    let started = false;
    child.stdout.on('data', (chunk: Buffer) => {
      if (started) {
        count.received += chunk.length;
        response.write(chunk);
        return;
      }
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return;
      started = true;
      const lines = head.subarray(0, end).toString().split('\r\n');
      for (const line of lines) {
        const [key = '', value = ''] = line.split(/: (.*)/);
        if (key === 'Status') response.statusCode = Number.parseInt(value, 10);
        else response.setHeader(key, value);
      }
      const body = head.subarray(end + 4);
      count.received += body.length;
      response.write(body);
    });
    child.on('close', () => response.end());
    child.stderr.resume();
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => {
      sockets.delete(socket);
      closed += bytesOf(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: (repo) => `http://127.0.0.1:${port}/${repo}`,
    root,
    traffic() {
      const all = [...sockets].reduce((sum, socket) => sum + bytesOf(socket), closed);
      const now = { ...count, wire: all - told };
      told = all;
      Object.assign(count, { requests: 0, sent: 0, received: 0 });
      return now;
    },
    intercept(given) {
      handler = given;
    },
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
