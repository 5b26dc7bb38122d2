/**
 * `fairlead init [URL]`: sets a new host up. It writes agent.yaml, creates the host's age and ssh keys, shows their public halves
 * and the line to commit, starts the service, and ends with `doctor`. It replaces nothing, so it may be run again at any time.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { durationMs } from '../../manifests-schema/duration.ts';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import { parseConfig } from '../config.ts';
import { AgentError } from '../errors.ts';
import { loadIdentity } from '../secrets/identity.ts';
import { exec } from '../system/exec.ts';
import { type Context, EXIT } from './context.ts';
import { doctor } from './doctor.ts';
import { configText, hostKeyHint, whyNoBroker, whyNoUrl } from './init-config.ts';

export interface InitOptions {
  host?: string;
  ref?: string;
  path?: string;
  broker?: string;
  username?: string;
  passwordFile?: string;
  /** False: the service is left alone. */
  start?: boolean;
  /** Until the repository has the host's directory; a duration, or `true` for as long as it takes. */
  wait?: string | true;
}

/** How often the repository is asked while the host's directory is waited for. */
const ASK_MS = 3_000;

export async function init(c: Context, given: string | undefined, options: InitOptions): Promise<number> {
  const { start = true, wait, ...settings } = options;
  const { config, state } = c.deps.paths(c.options);
  const made: string[] = [];
  const isThere = existsSync(config);
  const isKept = isThere && (given !== undefined || Object.values(settings).some((o) => o !== undefined));
  if (!isThere) {
    const asked = await answers(c, given, settings);
    if (typeof asked === 'string') {
      c.complain(asked);
      return EXIT.usage;
    }
    writeConfig(config, configText({ ...asked, sshKeyFile: sshKeyOf(config) }));
    made.push(config);
  }
  const hadKey = existsSync(path.join(state, 'age.key'));
  const age = await (await loadIdentity(state)).recipient();
  if (!hadKey) made.push(path.join(state, 'age.key'));
  const ssh = await sshKey(sshKeyOf(config), made);
  const { host, repo } = parseConfig(config, readFileSync(config, 'utf8'), os.hostname());
  const directory = repo.path.replaceAll('${host}', host);
  const service = start ? await c.deps.service(c.options, 'start') : 'absent';
  const document = { schema: 1, host, config, age, ssh, directory, service, made };
  if (c.options.json) {
    c.print(document, () => '');
    return EXIT.ok;
  }
  c.say(
    [
      ...made.map((file) => `made  ${file}`),
      ...(isKept
        ? [`kept  ${config} as it was: what was given here changed nothing in it; edit it, or remove it first`]
        : []),
      `ssh   ${ssh}`,
      '      a deploy key for the git server, where the repository is read over ssh',
      ...(isKept ? [] : hostKeyHint(repo.url)),
      `age   ${age}`,
      `      so that secrets can be encrypted to this host. Commit it in the fleet repository:`,
      `      mkdir -p ${directory} && echo 'age: ${age}' >> ${directory}/host.yaml`,
      '      in place of the `age:` that stands there, if this machine replaces another one of its name: docs/recovery.md',
      ...(service === 'started' ? ['      the service is started, now and at each boot'] : []),
    ].join('\n'),
  );
  if (service === 'absent') return EXIT.ok;
  if (await mayWait(c, wait)) await directoryAppears(c, directory, wait);
  return doctor(c);
}

type Given = Omit<InitOptions, 'start' | 'wait'>;

/** What agent.yaml is made of, asked for in a terminal where it was not given; a sentence where it cannot be used. */
async function answers(
  c: Context,
  url: string | undefined,
  settings: Given,
): Promise<(Given & { url: string }) | string> {
  const { config } = c.deps.paths(c.options);
  const ask = c.options.json ? undefined : c.terminal.ask;
  if (url !== undefined || ask === undefined) {
    if (url === undefined)
      return `there is no ${config} yet; name the fleet repository: fairlead init https://git.example.com/fleet.git`;
    const wrong = whyNoUrl(url) ?? (settings.broker ? whyNoBroker(settings.broker) : null);
    if (wrong !== null) return wrong;
    // Refuse here what the daemon would refuse at its start.
    parseConfig(config, configText({ ...settings, url, sshKeyFile: sshKeyOf(config) }), os.hostname());
    return { ...settings, url };
  }
  const right = async (question: string, why: (answer: string) => string | null): Promise<string> => {
    for (;;) {
      const answer = (await ask(question)).trim();
      const wrong = why(answer);
      if (wrong === null) return answer;
      c.complain(wrong);
    }
  };
  const repository = await right('Fleet repository (https://…, git@…, /path): ', whyNoUrl);
  const broker =
    settings.broker ?? (await right('MQTT broker (mqtts://…; empty for none): ', (b) => (b ? whyNoBroker(b) : null)));
  const name = os.hostname().toLowerCase();
  const host = settings.host ?? (await right(`Name of this host [${name}]: `, () => null));
  const whole = { ...settings, url: repository, ...(broker ? { broker } : {}), ...(host ? { host } : {}) };
  parseConfig(config, configText({ ...whole, sshKeyFile: sshKeyOf(config) }), os.hostname());
  return whole;
}

async function mayWait(c: Context, wait: InitOptions['wait']): Promise<boolean> {
  if (wait !== undefined) return true;
  if (c.terminal.ask === undefined) return false;
  const status = await c.client.get<StatusDocument>('status').catch(() => null);
  if (status?.sync !== 'unassigned') return false;
  return !/^n/i.test((await c.terminal.ask('Wait until the repository has it? [Y/n] ')).trim());
}

/** Asks the repository again and again, until the host has something to follow, the time is over, or Ctrl-C. */
async function directoryAppears(c: Context, directory: string, wait: InitOptions['wait']): Promise<void> {
  const left = c.terminal.interrupted();
  const until = typeof wait === 'string' ? c.now().getTime() + durationMs(wait) : Number.POSITIVE_INFINITY;
  c.say(`waiting until the repository has ${directory} (Ctrl-C ends the waiting) …`);
  while (!left.aborted && c.now().getTime() < until) {
    let isAssigned = false;
    await c.client.sync(
      {},
      {
        wait: true,
        signal: left,
        line(line) {
          if (line.type === 'done') isAssigned = line.status.sync !== 'unassigned';
        },
      },
    );
    if (isAssigned) {
      c.say(`${directory} is there, and this host follows it`);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, ASK_MS));
  }
}

const sshKeyOf = (config: string): string => path.join(path.dirname(config), 'ssh_key');

function writeConfig(config: string, text: string): void {
  mkdirSync(path.dirname(config), { recursive: true, mode: 0o755 });
  writeFileSync(config, text, { mode: 0o600, flag: 'wx' });
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
