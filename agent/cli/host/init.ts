/**
 * `fairlead init [URL]`: sets a new host up. It writes agent.yaml, creates the host's age and ssh keys, shows their public halves
 * and the line to commit, starts the service, and ends with `doctor`. It replaces nothing, so it may be run again at any time.
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { durationMs } from '../../../manifests-schema/duration.ts';
import type { StatusDocument } from '../../../manifests-schema/payloads.ts';
import { parseConfig } from '../../config.ts';
import type { SyncLine } from '../../control/protocol.ts';
import { AgentError } from '../../errors.ts';
import { loadIdentity } from '../../secrets/identity.ts';
import { createFile, renameDurably } from '../../store/disk/durable-file.ts';
import { readOrCreate } from '../../store/disk/private-file.ts';
import { exec } from '../../system/exec.ts';
import { tame } from '../../tame.ts';
import { type Context, EXIT } from '../context.ts';
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
  /** Waits until the repository has the host's directory; a duration, or `true` for as long as it takes. */
  wait?: string | true;
}

/** Interval at which the repository is asked while `init` waits for the host's directory. */
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
    mkdirSync(path.dirname(config), { recursive: true, mode: 0o755 });
    // The host may be switched off as soon as it is set up.
    if (createFile(config, configText({ ...asked, sshKeyFile: sshKeyOf(config) }))) made.push(config);
  }
  const hadKey = existsSync(path.join(state, 'age.key'));
  const age = await (await loadIdentity(state, readOrCreate)).recipient();
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
      '      a deploy key for the git server, if the repository is read over ssh',
      ...(isKept ? [] : hostKeyHint(repo.url)),
      `age   ${age}`,
      `      so that secrets can be encrypted to this host. Commit it in the fleet repository:`,
      `      mkdir -p ${directory} && echo 'age: ${age}' >> ${directory}/host.yaml`,
      '      If this machine replaces another one with its name, replace the `age:` line instead: docs/recovery.md',
      ...(service === 'started' ? ['      the service is started, now and at each boot'] : []),
    ].join('\n'),
  );
  if (service === 'absent') return EXIT.ok;
  const isIn = !(await mayWait(c, directory, wait)) || (await directoryAppears(c, directory, wait));
  const code = await doctor(c);
  return isIn ? code : EXIT.bad;
}

type Given = Omit<InitOptions, 'start' | 'wait'>;

/** Settings for agent.yaml; in a terminal the missing ones are asked for. A sentence if a setting is invalid. */
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

async function mayWait(c: Context, directory: string, wait: InitOptions['wait']): Promise<boolean> {
  if (wait !== undefined) return true;
  if (c.terminal.ask === undefined) return false;
  const status = await c.client.get<StatusDocument>('status').catch(() => null);
  if (status === null || !isWithoutDirectory(status)) return false;
  return !/^n/i.test((await c.terminal.ask(`Wait until the repository has ${directory}? [Y/n] `)).trim());
}

/**
 * Asks the repository again and again, until the host has something to follow, the time is over, or Ctrl-C. What stands in the
 * way is said whenever it changes: there is no directory, it declares nothing yet, the server does not let this host in.
 * @returns false if the time is over
 */
async function directoryAppears(c: Context, directory: string, wait: InitOptions['wait']): Promise<boolean> {
  const left = c.terminal.interrupted();
  const until = typeof wait === 'string' ? c.now().getTime() + durationMs(wait) : Number.POSITIVE_INFINITY;
  c.say(`waiting until the repository has ${directory} (Ctrl-C ends the waiting) …`);
  let said = '';
  while (!left.aborted && c.now().getTime() < until) {
    const status = await synced(c, left);
    if (status !== null && !isWithoutDirectory(status)) {
      c.say(`${directory} is there, and this host follows it`);
      // Such as a mistake in its files, which `doctor` does not look for.
      if (status.message) c.say(`      ${tame(status.message)}`);
      return true;
    }
    if (status?.message && status.message !== said) {
      said = status.message;
      c.say(`      ${tame(said)}`);
    }
    await sleep(ASK_MS, undefined, { signal: left }).catch(() => undefined);
  }
  if (left.aborted) return true;
  c.complain(
    `the repository has nothing for this host after ${wait}; the service keeps polling, and follows ${directory} when it exists`,
  );
  return false;
}

/** Nothing is there for this host, or the repository could not be read yet: it is empty, or does not know this host's key. */
const isWithoutDirectory = ({ sync, desired }: StatusDocument): boolean =>
  sync === 'unassigned' || sync === 'unknown' || desired === null;

/** Null where the waiting was interrupted. */
async function synced(c: Context, signal: AbortSignal): Promise<StatusDocument | null> {
  let status: StatusDocument | null = null;
  const line = (said: SyncLine) => {
    if (said.type === 'done') status = said.status;
  };
  await c.client.sync({}, { wait: true, signal, line });
  return status;
}

const sshKeyOf = (config: string): string => path.join(path.dirname(config), 'ssh_key');

/** The public half of the key pair, which is created if it is missing: ssh-keygen(1). */
async function sshKey(file: string, made: string[]): Promise<string> {
  if (!existsSync(file)) {
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o755 });
    const comment = `fairlead@${os.hostname()}`;
    const fresh = `${file}.new`;
    // A power cut leaves them.
    for (const half of [fresh, `${fresh}.pub`]) rmSync(half, { force: true });
    const { code, stderr } = await exec(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', comment, '-f', fresh]);
    if (code !== 0)
      throw new AgentError({
        code: 'InitFailed',
        phase: 'config',
        message: `cannot create an ssh key at ${file}: ${stderr.trim()}; install openssh-client, or create the key by hand`,
      });
    // The public half first: where the private one exists, both are whole.
    renameDurably(`${fresh}.pub`, `${file}.pub`);
    renameDurably(fresh, file);
    made.push(file);
  }
  return readFileSync(`${file}.pub`, 'utf8').trim();
}
