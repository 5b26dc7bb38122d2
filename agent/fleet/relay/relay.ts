/** `fairlead fleet relay`: one small process for a whole fleet, between its broker, its forge and its people. */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { RelaySettings } from '../../../manifests-schema/relay.ts';
import { AgentError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import { whyUnread } from '../../reading.ts';
import type { Clock } from '../../system/clock.ts';
import type { BrokerSettings } from '../../system/mqtt.ts';
import { notify } from '../notify.ts';
import { createAnnouncer } from './announce.ts';
import { createStatuses } from './forges/statuses.ts';
import { openSeen } from './hooks/seen.ts';
import { createHookServer } from './hooks/server.ts';
import { createPeople } from './people.ts';
import { takeTurns } from './turns.ts';
import { workOnFleet } from './work.ts';

export interface RelayOptions {
  settings: RelaySettings;
  /** Path of the settings, for messages. */
  file: string;
  clock: Clock;
  log: Log;
  /** Environment with HTTPS_PROXY and the like. */
  env: Record<string, string | undefined>;
  /** Takes note of a secret, so that no log shows it. */
  secret(text: string): void;
  random(): number;
  /** Names of hosts from `hosts` of the settings; null for the index on the broker. Throws if they cannot be read. */
  listHosts(): Promise<readonly string[] | null>;
  /** Called with the address on which it listens. */
  onListening?(address: { address: string; port: number }): void;
}

/** Runs until `signal` aborts. Throws AgentError if it cannot start. */
export async function runRelay(options: RelayOptions, signal: AbortSignal): Promise<void> {
  const { settings, log } = options;
  try {
    mkdirSync(settings.state, { recursive: true, mode: 0o700 });
  } catch (thrown) {
    throw unable(`${settings.state} cannot be made: ${whyUnread(thrown)}`);
  }
  const parts = [
    ...(settings.webhooks ? [await takeHooks(options, settings.webhooks)] : []),
    ...(settings.notify.length > 0 || settings.statuses.length > 0 ? [watchFleet(options)] : []),
  ];
  log.info({ fleet: settings.fleet, broker: settings.mqtt.url }, 'the relay has started');
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await Promise.all(parts.map((part) => part.stop()));
}

interface Part {
  stop(): Promise<void>;
}

function watchFleet({ settings, file, clock, log, env, secret, random, listHosts }: RelayOptions): Part {
  const { mqtt, fleet, notify: destinations, statuses: forges, state } = settings;
  const broker: BrokerSettings = { ...mqtt, namedIn: `mqtt in ${file}` };
  const ended = new AbortController();
  const where = { broker, prefix: mqtt.prefix, fleet, clock, log, random };
  const work = takeTurns(
    {
      ...where,
      work: (turn, signal) =>
        workOnFleet(
          { ...where, listHosts },
          [
            ...(destinations.length > 0
              ? [createPeople({ ...where, turn, destinations, env, secret, file: path.join(state, 'told.json') })]
              : []),
            ...(forges.length > 0
              ? [createStatuses({ ...where, turn, forges, env, secret, file: path.join(state, 'statuses.json') })]
              : []),
          ],
          signal,
        ),
    },
    ended.signal,
  );
  work.catch((thrown: unknown) => {
    log.error(
      { error: thrown instanceof Error ? thrown.stack : String(thrown) },
      'no notifications of the fleet are sent any more: a bug',
    );
  });
  return {
    async stop() {
      ended.abort();
      await work.catch(() => undefined);
    },
  };
}

async function takeHooks(
  { settings, file, clock, log, onListening }: RelayOptions,
  { listen, from }: NonNullable<RelaySettings['webhooks']>,
): Promise<Part> {
  const { mqtt, fleet } = settings;
  const broker: BrokerSettings = { ...mqtt, namedIn: `mqtt in ${file}` };
  const announcer = createAnnouncer({
    publish: async ({ ref, commit }) => void (await notify({ broker, prefix: mqtt.prefix, fleet, ref, commit })),
    clock,
    log,
  });
  const seen = openSeen(path.join(settings.state, 'webhooks.json'));
  const server = createHookServer({ listen, from, seen, pushed: announcer.pushed, log });
  const address = await server.start().catch((thrown: Error) => {
    throw unable(`it cannot listen on ${listen}: ${thrown.message}; choose another \`webhooks.listen\``);
  });
  log.info({ address: `${address.address}:${address.port}` }, 'webhooks are taken');
  onListening?.(address);
  return {
    async stop() {
      await server.stop();
      await announcer.stop();
    },
  };
}

const unable = (why: string) =>
  new AgentError({ code: 'InvalidConfig', phase: 'config', message: `the relay cannot start: ${why}` });
