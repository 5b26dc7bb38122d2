/** Reads agent.yaml for the daemon: at its start, which fixes the name of the host, and again at a reload. */
import { isHostName } from '../../manifests-schema/host-name.ts';
import type { AgentConfig } from '../config.ts';
import { AgentError } from '../errors.ts';
import { configFile, type LayoutOptions, loadConfig } from '../layout.ts';
import type { Log } from '../log.ts';
import type { Store } from '../store/db.ts';
import { type LocalVars, openLocalVars } from './local-vars.ts';

export interface StartOptions {
  layout: LayoutOptions;
  /** The settings with the current name of the machine as the name of the host. */
  asCalledNow: AgentConfig;
  facts: Store['facts'];
  log: Log;
}

/** The host keeps the name of its first start, also if the machine is renamed. @throws {AgentError} `InvalidConfig` */
export function configAtStart({ layout, asCalledNow, facts, log }: StartOptions): AgentConfig {
  const frozen = facts.get('host');
  const config = frozen === undefined ? asCalledNow : loadConfig(layout, frozen);
  const { host } = config;
  if (!isHostName(host)) throw badName(host);
  if (host !== asCalledNow.host)
    log.info(
      { host, machine: asCalledNow.host },
      'the machine has another name now; the host keeps that of its first start',
    );
  else if (frozen !== undefined && host !== frozen)
    log.warn({ host, before: frozen }, 'agent.yaml gives this host another name');
  if (host !== frozen) facts.set({ host });
  return config;
}

/** @throws {AgentError} `InvalidConfig` if it is not valid; `RestartNeeded` if it gives the running agent another name */
export async function configAgain(
  layout: LayoutOptions,
  { host, fleet }: Pick<AgentConfig, 'host' | 'fleet'>,
): Promise<{ next: AgentConfig; localVars: LocalVars }> {
  const next = loadConfig(layout, host);
  if (next.host !== host || next.fleet !== fleet) throw needsRestart(next);
  return { next, localVars: await openLocalVars(next, configFile(layout)) };
}

const needsRestart = ({ host, fleet }: AgentConfig) =>
  new AgentError({
    code: 'RestartNeeded',
    phase: 'config',
    message: `agent.yaml now names host ${host} in fleet ${fleet}, but a running agent cannot change its name; run \`systemctl restart fairlead\``,
  });

const badName = (name: string) =>
  new AgentError({
    code: 'InvalidConfig',
    phase: 'config',
    message: `this machine is called "${name}", which is no host name by RFC 1123; give the host one with \`host:\` in agent.yaml`,
  });
