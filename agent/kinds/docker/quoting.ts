/**
 * The driver, whose containers are quoted without secrets: what they print is cut for messages, and a secret of which only a
 * part is left would be known by nobody any more. So secrets are taken out before anything is cut.
 */
import { credentialsIn, isTelling } from '../../core/credentials.ts';
import type { ContainerInfo, Docker } from '../../system/docker/types.ts';

/** Letters of a log that are shown: its end. */
const SHOWN = 500;

export interface Quoting {
  /** Takes known secrets out of a text. */
  redact(text: string): string;
  /** Hears credentials that stand in what is there: the old one is told as little as the new one. */
  found?: ((credential: string) => void) | undefined;
}

export function quoting(docker: Docker, { redact, found }: Quoting): Docker {
  const hear = <T>(options: T, key = ''): T => {
    if (found) for (const one of credentialsIn(options, key)) if (isTelling(one)) found(one);
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

/** Where people write credentials, of all that the engine says. */
const optionsOf = ({ Config, HostConfig }: ContainerInfo) => ({
  Env: Config.Env,
  Cmd: Config.Cmd,
  Entrypoint: Config.Entrypoint,
  Labels: Config.Labels,
  Healthcheck: Config.Healthcheck,
  LogConfig: HostConfig.LogConfig,
  Mounts: HostConfig.Mounts,
});

/** Only what a failing healthcheck printed is ever shown. */
function withProbes(info: ContainerInfo, redact: (text: string) => string): ContainerInfo {
  const { Health } = info.State;
  if (Health?.Log === undefined || Health.Log === null || Health.Status === 'healthy') return info;
  const log = Health.Log.map((probe) => ({ ...probe, Output: redact(probe.Output ?? '') }));
  return { ...info, State: { ...info.State, Health: { ...Health, Log: log } } };
}
