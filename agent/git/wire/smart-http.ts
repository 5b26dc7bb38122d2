/** Git over HTTP: `info/refs` for the capabilities of the server, `git-upload-pack` for everything else. */
import { AgentError } from '../../errors.ts';
import { readNamed } from '../../reading.ts';
import { type HttpAnswer, type HttpClient, isRedirect } from './http.ts';
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
  /** Final URL of the first answer: later requests go there directly. */
  let base = name;
  const { origin } = new URL(name);
  const isHome = (answer: HttpAnswer) => new URL(answer.url).origin === origin;
  const headers = { 'git-protocol': 'version=2' };

  /** First answer of the server. Only this request may be redirected, as in git; objects are requested where it ended. */
  async function hear(secret: string | undefined, totalMs: number, signal: AbortSignal): Promise<HttpAnswer> {
    const url = `${name}${FIRST}`;
    const answer = await http.request({ secret, totalMs, url, method: 'GET', headers, follow: FIRST }, signal);
    await check(answer, 'application/x-git-upload-pack-advertisement');
    if (answer.status === 200) base = answer.url.slice(0, -FIRST.length);
    return answer;
  }

  async function send(
    body: Uint8Array,
    secret: string | undefined,
    totalMs: number,
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    const type = 'application/x-git-upload-pack-request';
    const to = { url: `${base}/git-upload-pack`, origin, method: 'POST' as const };
    const answer = await http.request(
      { ...to, secret, totalMs, headers: { ...headers, 'content-type': type }, body },
      signal,
    );
    await check(answer, 'application/x-git-upload-pack-result');
    return answer;
  }

  async function* exchange({ body, size }: Exchange, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { header: secret, used } = await readCredential(auth, name);
    const totalMs = limits[size];
    if (body === null) {
      const answer = await hear(secret, totalMs, signal);
      return yield* answer.status === 200 ? answer.body : refuse(answer, used);
    }
    let answer = await send(body, secret, totalMs, signal);
    if (isRedirect(answer)) {
      await close(answer);
      const before = base;
      const first = await hear(secret, totalMs, signal);
      await close(first);
      if (base === before) throw unexpected(name, 'it redirects what is sent to it; name in repo.url where it is now');
      answer = await send(body, secret, totalMs, signal);
    }
    yield* answer.status === 200 ? answer.body : refuse(answer, used);
  }

  /** A captive portal answers 200 as well, and so does a server of plain files. */
  async function check(answer: HttpAnswer, type: string): Promise<void> {
    const got = answer.headers['content-type'] ?? 'nothing named';
    if (answer.status !== 200 || got.startsWith(type)) return;
    if (!isHome(answer))
      throw unexpected(name, `it redirects to ${new URL(answer.url).origin}, whose answer is not git`);
    if (/^[0-9a-f]{40}\trefs\//.test(await beginning(answer)))
      throw unexpected(
        name,
        "the server only hands out files (git's dumb protocol); serve it with `git http-backend`, or over ssh",
      );
    throw unexpected(name, `the answer is ${quoted(got)}, not git`);
  }

  /** Explains a status that is not 200, with the beginning of the answer. */
  // biome-ignore lint/correctness/useYield: it always throws
  async function* refuse(answer: HttpAnswer, used: string | null): AsyncGenerator<Uint8Array> {
    const { status } = answer;
    // A redirect may lead to a private server, whose answer must not be quoted.
    const said = isHome(answer) ? await firstWords(answer) : `from ${new URL(answer.url).origin}`;
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

const FIRST = '/info/refs?service=git-upload-pack';

async function close(answer: HttpAnswer): Promise<void> {
  for await (const _ of answer.body) break;
}

/** Beginning of a plain answer; a page of HTML helps nobody in a log. */
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
  const secret = await readNamed(file).then(
    (bytes) => bytes.toString('utf8').trim(),
    (cause: Error) => {
      throw new AgentError({
        code: 'AuthenticationFailed',
        phase: 'fetch',
        reach: 'here',
        message: `cannot read ${name}: its credential ${file} cannot be read: ${cause.message}; check repo.auth in agent.yaml`,
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
