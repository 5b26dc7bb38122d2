/**
 * The driver, whose containers are quoted without secrets: what they print is cut for messages, and a secret of which only a
 * part is left would be known by nobody any more. So secrets are taken out before anything is cut.
 */
import type { ContainerInfo, Docker } from '../../system/docker/types.ts';

/** Letters of a log that are shown: its end. */
const SHOWN = 500;

/** @param redact takes known secrets out of a text */
export function quoting(docker: Docker, redact: (text: string) => string): Docker {
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
      return info && withProbes(info, redact);
    },
  };
}

/** Only what a failing healthcheck printed is ever shown. */
function withProbes(info: ContainerInfo, redact: (text: string) => string): ContainerInfo {
  const { Health } = info.State;
  if (Health?.Log === undefined || Health.Log === null || Health.Status === 'healthy') return info;
  const log = Health.Log.map((probe) => ({ ...probe, Output: redact(probe.Output ?? '') }));
  return { ...info, State: { ...info.State, Health: { ...Health, Log: log } } };
}
