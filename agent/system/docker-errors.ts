/** What the engine refuses, and that it cannot be reached, as errors in sentences with stable codes. */
import { AgentError } from '../errors.ts';

/** HTTP status of an answer, also of an error that was explained; 0 where there was none. */
export const statusOf = (thrown: unknown): number => Number((thrown as { statusCode?: unknown }).statusCode ?? 0);

/** Something acts on a container that is not there any more. */
export const gone = (what: string, cause: unknown): AgentError =>
  new AgentError({
    ...{ code: 'ContainerMissing', phase: 'apply', retry: true, cause },
    message: `cannot ${what}: it is gone; something else removed it, and it is made anew`,
  });

/**
 * @param what what was to be done, as in `cannot …`
 * @param thrown of the engine's client: the engine's own message, or the `code` of a connection that failed
 */
export function explain(what: string, socket: string, thrown: unknown): AgentError {
  if (thrown instanceof AgentError) return thrown;
  const raw = thrown instanceof Error ? thrown.message : String(thrown);
  const code = String((thrown as { code?: unknown }).code ?? '');
  const why = raw.replace(/^\(HTTP code \d+\) [^-]*- /, '').trim();
  if (
    ['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'EACCES'].includes(code) ||
    /socket hang up|no answer within/.test(raw)
  ) {
    return new AgentError({
      code: 'EngineUnreachable',
      phase: 'observe',
      retry: true,
      message: `cannot reach the Docker engine at ${socket} (${what}): ${why || code}; is docker.service running?`,
      cause: thrown,
    });
  }
  const known = REFUSALS.find(({ says }) => says.test(raw));
  const advice = known ? `; ${known.advice}` : '';
  return new AgentError({
    ...{ code: known?.code ?? 'EngineRefused', phase: 'apply', retry: true, cause: thrown },
    message: `cannot ${what}: ${why}${advice}`,
  });
}

/** Refusals of which more is known than what the engine says. */
const REFUSALS: readonly { says: RegExp; code: string; advice: string }[] = [
  {
    says: /port is already allocated|address already in use/,
    code: 'PortInUse',
    advice: 'free the port, or publish another',
  },
  {
    // What else has no space left may be a limit that was declared: of a volume, of a control group.
    says: /^(?!.*(?:cgroup|inotify|populate|\/volumes\/)).*no space left on device/s,
    code: 'DiskFull',
    advice: 'make room on the disk of the engine (`docker system df`)',
  },
  {
    says: /container is marked for removal/,
    code: 'ContainerMissing',
    advice: 'something else removes it; it is made anew when it is gone',
  },
  {
    says: /non-overlapping IPv4 address pool|all predefined address pools/,
    code: 'AddressPoolsExhausted',
    advice:
      'remove networks that nobody uses (`docker network prune`), give this one a subnet of its own (`ipam`), or add `default-address-pools` to /etc/docker/daemon.json',
  },
  { says: /Pool overlaps with other one/, code: 'SubnetInUse', advice: 'choose another subnet' },
];
