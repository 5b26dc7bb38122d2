/**
 * A Docker driver that removes secrets from everything containers print. Messages show only a part of the output, and a part of
 * a secret could no longer be recognised, so secrets are removed before the text is shortened.
 */
import { credentialsIn, isDistinctive } from '../../core/credentials/credentials.ts';
import type { ContainerInfo, Docker } from '../../system/docker/types.ts';

/** Characters of a log that are shown: its end. */
const SHOWN = 500;

export interface Quoting {
  /** Removes known secrets from a text. */
  redact(text: string): string;
  /** Receives credentials found on the host, so that old ones are masked like new ones. */
  found?: ((credential: string) => void) | undefined;
}

export function quoting(docker: Docker, { redact, found }: Quoting): Docker {
  const hear = <T>(options: T, key = ''): T => {
    if (found) for (const one of credentialsIn(options, key)) if (isDistinctive(one)) found(one);
    return options;
  };
  const shown = (text: string) => redact(text).slice(-SHOWN);
  return {
    ...docker,
    logTail: async (id) => shown(await docker.logTail(id)),
    async run(id, command, limitMs) {
      const result = await docker.run(id, command, limitMs);
      return { ...result, output: shown(result.output) };
    },
    async inspect(id) {
      const info = await docker.inspect(id);
      if (info === undefined) return info;
      if (found) hear(optionsOf(info));
      return withProbes(info, redact);
    },
    async volumes() {
      const volumes = await docker.volumes();
      for (const { Options } of volumes) if (Options) hear(Options, 'driver_opts');
      return volumes;
    },
    async networks() {
      const networks = await docker.networks();
      for (const { Options, Labels } of networks) hear({ Options, Labels });
      return networks;
    },
  };
}

/** The places in an inspection where people write credentials. */
const optionsOf = ({ Config, HostConfig }: ContainerInfo) => ({
  Env: Config.Env,
  Cmd: Config.Cmd,
  Entrypoint: Config.Entrypoint,
  Labels: Config.Labels,
  Healthcheck: Config.Healthcheck,
  LogConfig: HostConfig.LogConfig,
  Mounts: HostConfig.Mounts,
});

/** Only the output of a failing healthcheck is ever shown. */
function withProbes(info: ContainerInfo, redact: (text: string) => string): ContainerInfo {
  const { Health } = info.State;
  if (Health?.Log === undefined || Health.Log === null || Health.Status === 'healthy') return info;
  const log = Health.Log.map((probe) => ({ ...probe, Output: redact(probe.Output ?? '') }));
  return { ...info, State: { ...info.State, Health: { ...Health, Log: log } } };
}
