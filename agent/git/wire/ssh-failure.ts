/** Turns a failure of OpenSSH into an error. It has one exit code for all of its failures, so its messages are matched. */
import { AgentError, type Reach } from '../../errors.ts';
import { quoted, unauthorised, unreachable } from './remote.ts';

export interface SshFailure {
  url: string;
  sshKeyFile?: string | undefined;
  knownHostsFile?: string | undefined;
  /** Exit code of ssh, or why it could not be started. */
  code: number | Error;
  /** Standard error of ssh. */
  said: string;
}

/** ssh(1): an error of its own. Any other exit code is that of the command at the far end, which so was reached. */
const OWN_ERROR = 255;

export function sshFailure({ url, sshKeyFile, knownHostsFile, code, said }: SshFailure): AgentError {
  if (code instanceof Error)
    return unreachable(url, 'ssh cannot be started; install openssh-client', { cause: code, reach: 'here' });
  const known = knownHostsFile ?? "this machine's known_hosts";
  if (/REMOTE HOST IDENTIFICATION HAS CHANGED/.test(said))
    return hostKey(
      url,
      `the server's key is not the one in ${known}: somebody may listen in, or it was replaced; ask its administrator before you change the file`,
    );
  if (/Host key verification failed|host key is known/.test(said))
    return hostKey(url, `the server's key is not in ${known}; add the line that its administrator gives you`);
  if (/Permission denied|UNPROTECTED PRIVATE KEY|Load key /.test(said)) {
    const used = sshKeyFile ? `the key ${sshKeyFile}` : "ssh's own default keys; name one in repo.auth.sshKeyFile";
    return unauthorised(url, used, quoted(said));
  }
  const reach = code === OWN_ERROR ? reachOf(said) : 'answered';
  return unreachable(url, quoted(said) || `ssh ended with exit code ${code}`, { reach });
}

/** The kernel's and the resolver's sentences (strerror(3), gai_strerror(3)), of which ssh prints no code. */
function reachOf(said: string): Reach {
  if (/Connection refused|Connection reset|Connection closed by/.test(said)) return 'answered';
  const here =
    /Could not resolve hostname|No route to host|Network is unreachable|Operation not permitted|Cannot assign requested/;
  return here.test(said) ? 'here' : 'silent';
}

interface UnreadFile {
  url: string;
  /** The key of repo.auth that names it. */
  key: 'sshKeyFile' | 'knownHostsFile';
  file: string;
  why: string;
}

/** A file without which ssh is not even tried. */
export function unreadFile({ url, key, file, why }: UnreadFile): AgentError {
  const said = `${file} cannot be read: ${why}; check repo.auth.${key} in agent.yaml`;
  if (key === 'knownHostsFile') return hostKey(url, said);
  const message = `cannot read ${url}: ${said}`;
  return new AgentError({ code: 'AuthenticationFailed', phase: 'fetch', reach: 'here', message });
}

const hostKey = (url: string, why: string) =>
  new AgentError({
    code: 'HostKeyUnknown',
    phase: 'fetch',
    reach: 'here',
    message: `cannot read ${url}: ${why}`,
  });
