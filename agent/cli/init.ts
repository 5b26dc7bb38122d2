/** `fairlead init [URL]`: writes agent.yaml, creates the host's age and ssh keys, and prints their public halves. It replaces nothing. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { stringify } from 'yaml';
import { parseConfig } from '../config.ts';
import { AgentError } from '../errors.ts';
import { parseSshUrl } from '../git/wire/ssh.ts';
import { loadIdentity } from '../secrets/identity.ts';
import { exec } from '../system/exec.ts';
import { type Context, EXIT } from './context.ts';

export interface InitOptions {
  host?: string;
  ref?: string;
  path?: string;
}

export async function init(c: Context, url: string | undefined, options: InitOptions): Promise<number> {
  const { config, state } = c.deps.paths(c.options);
  const made: string[] = [];
  const isKept = existsSync(config) && (url !== undefined || Object.values(options).some((o) => o !== undefined));
  if (!existsSync(config)) {
    if (url === undefined) {
      c.complain(
        `there is no ${config} yet; name the fleet repository: fairlead init https://git.example.com/fleet.git`,
      );
      return EXIT.usage;
    }
    const text = configText(url, sshKeyOf(config), options);
    // Refuse here what the daemon would refuse at its start.
    parseConfig(config, text, os.hostname());
    const wrong = whyNoUrl(url);
    if (wrong !== null) {
      c.complain(wrong);
      return EXIT.usage;
    }
    mkdirSync(path.dirname(config), { recursive: true, mode: 0o755 });
    writeFileSync(config, text, { mode: 0o600, flag: 'wx' });
    made.push(config);
  }
  const hadKey = existsSync(path.join(state, 'age.key'));
  const age = await (await loadIdentity(state)).recipient();
  if (!hadKey) made.push(path.join(state, 'age.key'));
  const ssh = await sshKey(sshKeyOf(config), made);
  const { host } = parseConfig(config, readFileSync(config, 'utf8'), os.hostname());
  c.print({ schema: 1, host, config, age, ssh, made }, () =>
    [
      ...made.map((file) => `made  ${file}`),
      ...(isKept
        ? [`kept  ${config} as it was: what was given here changed nothing in it; edit it, or remove it first`]
        : []),
      `age   ${age}`,
      `      for \`age:\` in the host.yaml of ${host}, so that secrets can be encrypted to it`,
      `ssh   ${ssh}`,
      '      a deploy key for the git server, where the repository is read over ssh',
      ...(url !== undefined && !isKept ? hostKeyHint(url) : []),
    ].join('\n'),
  );
  return EXIT.ok;
}

const sshKeyOf = (config: string): string => path.join(path.dirname(config), 'ssh_key');
const isSsh = (url: string): boolean =>
  !url.startsWith('/') && !/^(?!ssh:)\w+:\/\//.test(url) && parseSshUrl(url) !== null;

/** ssh trusts no server that it does not know: ssh-keyscan(1). */
function hostKeyHint(url: string): string[] {
  const address = isSsh(url) ? parseSshUrl(url) : null;
  if (address === null) return [];
  const port = address.port === null ? '' : `-p ${address.port} `;
  return [
    `hosts ssh-keyscan ${port}${address.host} >> /root/.ssh/known_hosts`,
    '      compare what that adds with what the owner of the server says: no other server is believed',
  ];
}

/** Why fairlead cannot read from there; null if nothing speaks against it. */
function whyNoUrl(url: string): string | null {
  const isWeb = /^https?:\/\//.test(url);
  const parsed = isWeb ? URL.parse(url) : null;
  if (parsed?.username || parsed?.password)
    return 'the url must not carry a user or a password, which agent.yaml would show; put the password into a file and name that in repo.auth (man agent.yaml)';
  const isKnown = isWeb ? parsed !== null : isSsh(url) || /^(file:\/\/)?\//.test(url);
  return isKnown
    ? null
    : `${url} is no address of a repository; give one such as https://git.example.com/fleet.git, git@git.example.com:fleet.git or /srv/git/fleet.git`;
}

function configText(url: string, key: string, { host, ref, path: dir }: InitOptions): string {
  const auth = isSsh(url) ? { auth: { sshKeyFile: key } } : {};
  const document = {
    ...(host ? { host } : {}),
    repo: { url, ...(ref ? { ref } : {}), ...(dir ? { path: dir } : {}), ...auth },
  };
  return `# man agent.yaml and docs/install.md list every key.\n${stringify(document)}`;
}

/** The public half of the key pair, which is created if it is missing: ssh-keygen(1). */
async function sshKey(file: string, made: string[]): Promise<string> {
  if (!existsSync(file)) {
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o755 });
    const comment = `fairlead@${os.hostname()}`;
    const { code, stderr } = await exec(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', comment, '-f', file]);
    if (code !== 0)
      throw new AgentError({
        code: 'InitFailed',
        phase: 'config',
        message: `cannot create an ssh key at ${file}: ${stderr.trim()}; install openssh-client, or create the key by hand`,
      });
    made.push(file);
  }
  return readFileSync(`${file}.pub`, 'utf8').trim();
}
