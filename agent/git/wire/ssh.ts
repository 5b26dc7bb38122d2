/** Git over SSH by the system's OpenSSH: one process an exchange, no prompt, no agent, known hosts only. */
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { AgentError } from '../../errors.ts';
import { checkNamed } from '../../reading.ts';
import { FLUSH } from './packet.ts';
import { type Exchange, type Limits, type Remote, seconds, stopped, unreachable } from './remote.ts';
import { sshFailure, unreadFile } from './ssh-failure.ts';
import { startProgram } from './start-program.ts';

export interface SshAddress {
  user: string | null;
  host: string;
  port: number | null;
  path: string;
}

export interface SshOptions {
  url: string;
  sshKeyFile?: string | undefined;
  knownHostsFile?: string | undefined;
  limits: Limits;
  /** The agent's environment; ssh gets only PATH of it, and nothing that leads to an ssh-agent or a prompt. */
  env: Record<string, string | undefined>;
}

/** `ssh://user@host:22/path` and `user@host:path`; null if it is neither. Host and user cannot look like options. */
export function parseSshUrl(url: string): SshAddress | null {
  const name = /^[A-Za-z0-9_.][A-Za-z0-9_.-]*$/;
  const long = /^ssh:\/\/(?:([^@/]+)@)?(\[[0-9a-fA-F:]+\]|[^:/@[\]]+)(?::(\d+))?(\/.+)$/.exec(url);
  const short = long ? null : /^(?:([^@/:]+)@)?([^:/@]+):(?!\/\/)(.+)$/.exec(url);
  const [user, host, port, path] = long ? long.slice(1) : short ? [short[1], short[2], undefined, short[3]] : [];
  if (host === undefined || path === undefined) return null;
  const address = /^\[([0-9a-fA-F:]+)\]$/.exec(host)?.[1];
  if ((user !== undefined && !name.test(user)) || (address === undefined && !name.test(host))) return null;
  // /~user/x of an ssh URL means ~user/x, as git has it.
  const where = path.startsWith('/~') ? path.slice(1) : path;
  return { user: user ?? null, host: address ?? host, port: port === undefined ? null : Number(port), path: where };
}

/** The argv of ssh. */
export function sshArgv(
  address: SshAddress,
  options: Pick<SshOptions, 'sshKeyFile' | 'knownHostsFile' | 'limits'>,
): string[] {
  const settings = [
    'BatchMode=yes',
    'StrictHostKeyChecking=yes',
    'UpdateHostKeys=no',
    'IdentityAgent=none',
    'ForwardAgent=no',
    'ClearAllForwardings=yes',
    'PermitLocalCommand=no',
    'ControlMaster=no',
    'ControlPath=none',
    `ConnectTimeout=${Math.ceil(options.limits.connect / 1000)}`,
    'ServerAliveInterval=10',
    'ServerAliveCountMax=3',
    'SendEnv=GIT_PROTOCOL',
    ...(options.sshKeyFile ? ['IdentitiesOnly=yes', `IdentityFile="${options.sshKeyFile}"`] : []),
    // Pinned: other known hosts of the machine do not count.
    ...(options.knownHostsFile
      ? [`UserKnownHostsFile="${options.knownHostsFile}"`, 'GlobalKnownHostsFile=/dev/null']
      : []),
  ];
  return [
    'ssh',
    '-T',
    ...settings.flatMap((s) => ['-o', s]),
    ...(address.port === null ? [] : ['-p', String(address.port)]),
    ...(address.user === null ? [] : ['-l', address.user]),
    '--',
    address.host,
    `git-upload-pack ${quote(address.path)}`,
  ];
}

/** For the shell at the far end, which git's own clients rely on too. */
const quote = (path: string) => `'${path.replaceAll("'", "'\\''").replaceAll('!', "'\\!'")}'`;

export function createSsh(options: SshOptions): Remote {
  const address = parseSshUrl(options.url);
  if (address === null)
    throw new AgentError({
      code: 'InvalidConfig',
      phase: 'config',
      message: `repo.url ${options.url} is no ssh address; write ssh://user@host/path or user@host:path`,
    });
  const [program = '', ...args] = sshArgv(address, options);

  /** ssh itself would wait for a pipe without a word, and blame the server for a file that is missing. */
  async function check(): Promise<void> {
    for (const key of ['sshKeyFile', 'knownHostsFile'] as const) {
      const file = options[key];
      if (file === undefined) continue;
      await checkNamed(file).catch((thrown: Error) => {
        throw unreadFile({ url: options.url, key, file, why: thrown.message });
      });
    }
  }

  async function* exchange({ body, size }: Exchange, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    await check();
    if (signal.aborted) throw stopped();
    const child = started(options.url, program, args, { env: environment(options.env) });
    const said = collect(child);
    const ended = new Promise<number | Error>((resolve) => {
      child.once('error', resolve);
      child.once('close', (code, by) => resolve(code ?? (by ? 128 : 0)));
    });
    let late = '';
    const stop = (why: string) => () => {
      late ||= why;
      child.kill('SIGKILL');
    };
    const { limits } = options;
    const total = setTimeout(stop(`it did not finish within ${seconds(limits[size])}`), limits[size]);
    const first = limits.connect + limits.answer;
    let watch = setTimeout(stop(`no answer within ${seconds(first)}`), first);
    const abort = stop('stopped');
    signal.addEventListener('abort', abort, { once: true });
    try {
      child.stdin.on('error', () => undefined);
      // The server's first message comes unasked; a lone flush packet then ends the conversation.
      child.stdin.end(body ?? FLUSH);
      for await (const chunk of child.stdout) {
        clearTimeout(watch);
        watch = setTimeout(stop(`the answer stalled: nothing came for ${seconds(limits.stall)}`), limits.stall);
        yield chunk;
      }
      const code = await ended;
      if (signal.aborted) throw stopped();
      if (late) throw unreachable(options.url, late);
      if (code !== 0) throw sshFailure({ ...options, code, said: said() });
    } finally {
      clearTimeout(total);
      clearTimeout(watch);
      signal.removeEventListener('abort', abort);
      child.kill('SIGKILL');
    }
  }
  return { name: options.url, stateless: false, exchange };
}

function started(url: string, ...start: Parameters<typeof startProgram>): ChildProcessWithoutNullStreams {
  try {
    return startProgram(...start);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw unreachable(url, why, { cause, reach: 'here' });
  }
}

/** Works without HOME; knows no agent and no way to ask anybody. */
function environment(env: SshOptions['env']): Record<string, string> {
  return {
    PATH: env.PATH ?? '/usr/bin:/bin',
    LC_ALL: 'C',
    GIT_PROTOCOL: 'version=2',
    ...(env.HOME ? { HOME: env.HOME } : {}),
  };
}

function collect(child: ChildProcessWithoutNullStreams): () => string {
  let text = '';
  child.stderr.on('data', (chunk: Buffer) => {
    if (text.length < 4_000) text += chunk.toString('utf8');
  });
  return () => text;
}
