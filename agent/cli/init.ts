/** `fairlead init [URL]`: writes agent.yaml, creates the host's age and ssh keys, and prints their public halves. It replaces nothing. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { stringify } from 'yaml';
import { parseConfig } from '../config.ts';
import { AgentError } from '../errors.ts';
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
      `age   ${age}`,
      `      for \`age:\` in the host.yaml of ${host}, so that secrets can be encrypted to it`,
      `ssh   ${ssh}`,
      '      a deploy key for the git server, where the repository is read over ssh',
    ].join('\n'),
  );
  return EXIT.ok;
}

const sshKeyOf = (config: string): string => path.join(path.dirname(config), 'ssh_key');
const isSsh = (url: string): boolean => /^(ssh:\/\/|[\w.-]+@[\w.-]+:)/.test(url);

function configText(url: string, key: string, { host, ref, path: dir }: InitOptions): string {
  const auth = isSsh(url) ? { auth: { sshKeyFile: key } } : {};
  const document = {
    ...(host ? { host } : {}),
    repo: { url, ...(ref ? { ref } : {}), ...(dir ? { path: dir } : {}), ...auth },
  };
  return `# docs/install.md lists every key.\n${stringify(document)}`;
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
