/** Git over HTTP: `info/refs` to hear what the server can do, `git-upload-pack` for everything else. */
import { readFile } from 'node:fs/promises';
import { AgentError } from '../errors.ts';
import type { HttpAnswer, HttpClient } from './http.ts';
import { type Exchange, type Limits, quoted, type Remote, unauthorised, unexpected } from './remote.ts';

export interface HttpAuth {
  username?: string | undefined;
  passwordFile?: string | undefined;
  /** An access token, sent as the password of basic authentication. */
  tokenFile?: string | undefined;
  /** Sent as `Authorization: Bearer`. */
  bearerFile?: string | undefined;
}

export interface SmartHttpOptions {
  url: string;
  auth: HttpAuth;
  http: HttpClient;
  limits: Limits;
}

export function createSmartHttp({ url, auth, http, limits }: SmartHttpOptions): Remote {
  const name = url.replace(/\/+$/, '');
  /** Where the first answer came from: later requests go there at once. */
  let base = name;

  async function* exchange({ body, size }: Exchange, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const credential = await readCredential(auth, name);
    const common = { secret: sameOrigin(base, name) ? credential.header : undefined, totalMs: limits[size] };
    const headers = { 'git-protocol': 'version=2' };
    let answer: HttpAnswer;
    if (body === null) {
      const address = `${name}/info/refs?service=git-upload-pack`;
      const secret = credential.header;
      answer = await http.request({ ...common, secret, url: address, method: 'GET', headers }, signal);
      await check(answer, 'application/x-git-upload-pack-advertisement');
      base = answer.url.replace(/\/info\/refs(\?.*)?$/, '');
    } else {
      const type = 'application/x-git-upload-pack-request';
      const all = { ...headers, 'content-type': type };
      const address = `${base}/git-upload-pack`;
      answer = await http.request({ ...common, url: address, method: 'POST', headers: all, body }, signal);
      await check(answer, 'application/x-git-upload-pack-result');
      if (answer.status === 200) base = answer.url.replace(/\/git-upload-pack$/, '');
    }
    yield* answer.status === 200 ? answer.body : refuse(answer, credential.used);
  }

  /** A captive portal answers 200 as well, and so does a server of plain files. */
  async function check(answer: HttpAnswer, type: string): Promise<void> {
    const got = answer.headers['content-type'] ?? 'nothing named';
    if (answer.status !== 200 || got.startsWith(type)) return;
    if (/^[0-9a-f]{40}\trefs\//.test(await beginning(answer)))
      throw unexpected(
        name,
        "the server only hands out files (git's dumb protocol); serve it with `git http-backend`, or over ssh",
      );
    throw unexpected(name, `the answer is ${quoted(got)}, not git`);
  }

  /** Not 200: what it means, with the first words of the answer. */
  // biome-ignore lint/correctness/useYield: it always throws
  async function* refuse(answer: HttpAnswer, used: string | null): AsyncGenerator<Uint8Array> {
    const { status } = answer;
    const said = await firstWords(answer);
    const text = `it answered ${status}${said ? ` (${said})` : ''}`;
    if (status === 401 || status === 403 || status === 407) throw unauthorised(name, used, text);
    if (status === 404)
      throw unexpected(
        name,
        `${text}: there is no such repository, or it is hidden from us. Used: ${used ?? 'no credential'}`,
      );
    throw unexpected(name, text);
  }
  return { name, stateless: true, exchange };
}

const sameOrigin = (a: string, b: string) => new URL(a).origin === new URL(b).origin;

/** What a plain answer begins with; a page of HTML helps nobody in a log. */
async function firstWords(answer: HttpAnswer): Promise<string> {
  const type = answer.headers['content-type'] ?? '';
  const text = await beginning(answer);
  return type.startsWith('text/plain') || type.includes('json') ? quoted(text) : '';
}

async function beginning(answer: HttpAnswer): Promise<string> {
  let text = '';
  for await (const chunk of answer.body) {
    text += Buffer.from(chunk).toString('utf8');
    if (text.length > 500) break;
  }
  return text;
}

async function readCredential(
  auth: HttpAuth,
  name: string,
): Promise<{ header: string | undefined; used: string | null }> {
  const file = auth.bearerFile ?? auth.tokenFile ?? auth.passwordFile;
  if (file === undefined) return { header: undefined, used: null };
  const secret = await readFile(file, 'utf8').then(
    (text) => text.trim(),
    (cause) => {
      const why = (cause as NodeJS.ErrnoException).code;
      throw new AgentError({
        code: 'AuthenticationFailed',
        phase: 'fetch',
        reach: 'here',
        message: `cannot read ${name}: its credential ${file} cannot be read (${why}); check repo.auth in agent.yaml`,
        cause,
      });
    },
  );
  if (auth.bearerFile !== undefined) return { header: `Bearer ${secret}`, used: `the bearer token in ${file}` };
  const username = auth.username ?? (auth.tokenFile ? 'x-access-token' : 'git');
  const what = auth.tokenFile ? 'token' : 'password';
  const header = `Basic ${Buffer.from(`${username}:${secret}`).toString('base64')}`;
  return { header, used: `user ${username} with the ${what} in ${file}` };
}
