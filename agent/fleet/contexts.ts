/** Which broker and fleet a command is for: by its flags, the environment, a context of fleet.yaml, or agent.yaml. */
import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { check, issueAt } from '../../manifests-schema/check.ts';
import { type FleetContext, fleetContext, fleetContexts } from '../../manifests-schema/contexts.ts';
import { formatIssue } from '../../manifests-schema/issue.ts';
import { WEBSOCKET_URL } from '../../manifests-schema/plain-credentials.ts';
import { parseYaml } from '../../manifests-schema/yaml.ts';
import type { AgentConfig } from '../config.ts';
import { AgentError } from '../errors.ts';
import { readNamed } from '../reading.ts';
import type { BrokerSettings } from '../system/mqtt.ts';

type Env = Readonly<Record<string, string | undefined>>;

export interface ChoiceOptions {
  /** Flags of the command line; missing ones are taken from elsewhere. */
  request: { broker?: BrokerSettings; context?: string; prefix?: string; fleet?: string };
  env: Env;
  /** Path of agent.yaml; `isNamed` if a flag names it, and then no context overrides it. */
  config: { file: string; isNamed: boolean; load(): AgentConfig };
}

export interface Choice {
  broker: BrokerSettings;
  /** Websocket URL of the broker for browsers; null if only its other URLs are known. */
  websocket: string | null;
  prefix: string;
  fleet: string;
  /** If agent.yaml was what named the broker. */
  config: AgentConfig | null;
}

const PREFIX = 'fairlead';
const FLEET = 'default';

/** Throws AgentError `InvalidConfig`, `BrokerUnreachable` (no broker is named). */
export async function chooseBroker({ request, env, config }: ChoiceOptions): Promise<Choice> {
  const of = (broker: BrokerSettings, { prefix = PREFIX, fleet = FLEET, websocket }: Partial<FleetContext>) => ({
    broker,
    websocket: websocket ?? websocketOf(broker),
    prefix: request.prefix ?? prefix,
    fleet: request.fleet ?? fleet,
    config: null,
  });
  if (request.broker) return of({ ...request.broker, namedIn: '--broker' }, {});
  const file = contextsFile(env);
  const named = request.context ?? (env.FAIRLEAD_BROKER ? undefined : env.FAIRLEAD_CONTEXT);
  if (named === undefined && env.FAIRLEAD_BROKER) {
    const context = contextOf(env);
    return of(settingsOf(context, 'the variables FAIRLEAD_BROKER…'), context);
  }
  if (named !== undefined || (!config.isNamed && existsSync(file))) {
    const { current, contexts } = await loadContexts(file);
    const name = named ?? current;
    const context = name === undefined ? undefined : contexts[name];
    if (context) return of(settingsOf(context, `context ${name} in ${file}`), context);
    const names = Object.keys(contexts).join(', ');
    if (name !== undefined) throw invalid(`${file} has no context ${name}; there are: ${names}`);
  }
  if (!config.isNamed && !existsSync(config.file)) throw unnamed(`no broker is named`, file);
  const loaded = config.load();
  if (!loaded.mqtt) throw unnamed(`${config.file} names no broker`, file);
  const { prefix = loaded.mqtt.prefix, fleet = loaded.fleet } = request;
  return { broker: loaded.mqtt, websocket: websocketOf(loaded.mqtt), prefix, fleet, config: loaded };
}

const websocketOf = ({ url }: BrokerSettings): string | null => (WEBSOCKET_URL.test(url) ? url : null);
const invalid = (message: string) => new AgentError({ code: 'InvalidConfig', phase: 'config', message });
const unnamed = (what: string, file: string) =>
  new AgentError({
    code: 'BrokerUnreachable',
    phase: 'report',
    message: `${what}; say --broker, set FAIRLEAD_BROKER, write a context in ${file}, or, on a host, \`mqtt: {url: …}\` in agent.yaml`,
  });

/** XDG Base Directory Specification. */
export const contextsFile = (env: Env): string =>
  path.join(env.XDG_CONFIG_HOME || path.join(os.homedir(), '.config'), 'fairlead/fleet.yaml');

function settingsOf(context: FleetContext, namedIn: string): BrokerSettings {
  const { broker, username } = context;
  const settings: BrokerSettings = { url: broker, username, namedIn };
  for (const key of ['passwordFile', 'ca', 'cert', 'key'] as const)
    settings[key] = context[key]?.replace(/^~(?=\/)/, os.homedir());
  return settings;
}

/** Variable → key of a context. */
const VARIABLES = {
  FAIRLEAD_BROKER: 'broker',
  FAIRLEAD_BROKER_WEBSOCKET: 'websocket',
  FAIRLEAD_BROKER_USERNAME: 'username',
  FAIRLEAD_BROKER_PASSWORD_FILE: 'passwordFile',
  FAIRLEAD_BROKER_CA: 'ca',
  FAIRLEAD_BROKER_CERT: 'cert',
  FAIRLEAD_BROKER_KEY: 'key',
  FAIRLEAD_BROKER_PREFIX: 'prefix',
  FAIRLEAD_BROKER_FLEET: 'fleet',
} as const;

function contextOf(env: Env): FleetContext {
  const given = Object.entries(VARIABLES).flatMap(([name, key]) => (env[name] ? [[key, env[name]]] : []));
  const result = fleetContext.safeParse(Object.fromEntries(given));
  if (result.success) return result.data;
  const wrong = result.error.issues.map(({ path: at, message }) => {
    const variable = Object.entries(VARIABLES).find(([, key]) => key === at[0])?.[0];
    return `${variable ?? 'the environment'} ${message}`;
  });
  throw invalid(wrong.join('\n'));
}

async function loadContexts(
  file: string,
): Promise<{ current?: string | undefined; contexts: Record<string, FleetContext> }> {
  const fail = (why: string) => invalid(`cannot read ${file}: ${why}`);
  for (const one of [file, path.dirname(file)]) {
    const { mode, uid } = await stat(one).catch((thrown: Error) => {
      throw fail(thrown.message);
    });
    // A user who can write this file can send the commands of its owner to a broker of their own.
    if ((mode & 0o022) !== 0) throw fail(`others may write ${one}; run \`chmod go-w ${one}\``);
    if (uid !== 0 && uid !== process.getuid?.()) throw fail(`${one} belongs to another user; make it your own`);
  }
  const text = await readNamed(file).catch((thrown: Error) => {
    throw fail(thrown.message);
  });
  const parsed = parseYaml(file, text.toString('utf8'));
  const checked =
    parsed.issues.length > 0
      ? { ok: false as const, issues: parsed.issues }
      : parsed.value == null
        ? { ok: false as const, issues: [issueAt(parsed, [], 'has no contexts')] }
        : check(fleetContexts, parsed);
  if (!checked.ok) throw invalid(checked.issues.map(formatIssue).join('\n'));
  return checked.value;
}
