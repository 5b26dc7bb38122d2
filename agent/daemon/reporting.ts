/** The reports of this host to its broker, if agent.yaml names one: status, events, metrics, and answers to commands. */
import type { AgentConfig } from '../config.ts';
import type { AgentApi } from '../control/api.ts';
import { createRemoteCommands, listedCommands } from '../control/remote/lazy.ts';
import { RECENT_ACTIONS, RECENT_RUNS, recentHistoryOf } from '../core/reporting/recent-history.ts';
import type { Log } from '../log.ts';
import { createMetricsFeed } from '../metrics/host/feed.ts';
import type { HostSampler } from '../metrics/host/sampler.ts';
import { createChannel } from '../report/index.ts';
import { createReporter, type Reporter } from '../report/reporter.ts';
import type { Redactor } from '../secrets/redact.ts';
import type { Store } from '../store/db.ts';
import { systemClock } from '../system/clock.ts';
import type { Session } from './session/session.ts';

export interface ReportingOptions {
  host: string;
  fleet: string;
  /** Id of this process. */
  instance: string;
  version: string;
  stateDir: string;
  store: Store;
  redactor: Redactor;
  log: Log;
  /** The current session. */
  session(): Session;
  /** Receives commands. */
  api(): AgentApi;
  /** A command has changed the status. */
  changed(): void;
}

/** @returns a factory of reporters for one version of agent.yaml; it returns null if no broker is configured */
export function createReporting(options: ReportingOptions): (using: AgentConfig) => Reporter | null {
  const { host, fleet, store, redactor, session } = options;
  const common = { host, fleet, clock: systemClock, log: options.log };
  /** Created for the first document: a host without a broker is not measured. */
  let sampling: Promise<HostSampler> | null = null;
  const sampler = (): Promise<HostSampler> => {
    sampling ??= import('../metrics/host/sampler.ts').then(({ createHostSampler }) =>
      createHostSampler({ host, fleet, clock: systemClock, stateDir: options.stateDir }),
    );
    return sampling;
  };

  return (using) => {
    const channel = createChannel(using, {
      ...{ ...common, instance: options.instance, version: options.version, random: Math.random },
      announced: {
        topics: () => store.facts.get('announced') ?? [],
        remember: (announced) => store.facts.set({ announced }),
      },
    });
    if (channel === null) return null;
    const hostMetrics = createMetricsFeed({ ...common, channel, sample: () => sampler().then((one) => one.sample()) });
    const listed = listedCommands(using.mqtt);
    const commands =
      listed.length === 0
        ? null
        : createRemoteCommands({
            ...common,
            ...{ listed, api: options.api, commands: store.commands, outbox: store.outbox, redact: redactor.deep },
            clockDoubt: () => session().clockDoubt(),
            reply: (to, result) => channel.reply(to, result),
            changed: options.changed,
          });
    return createReporter({
      ...common,
      channel,
      beside: [hostMetrics, ...(commands === null ? [] : [commands])],
      ...(commands === null ? {} : { onCommand: (received) => commands.take(received) }),
      outbox: store.outbox,
      status: () => session().api.status(),
      resources: () => session().api.resources().resources,
      history: {
        revision: () => store.runs.revision(),
        // Mask again what was masked when it was recorded: a secret may have become known since.
        document: () => redactor.deep(recentHistoryOf({ host, fleet }, store.runs.recent(RECENT_RUNS, RECENT_ACTIONS))),
      },
      busy: () => session().busy(),
      onNotice: (payload) => session().notice(payload),
    });
  };
}
