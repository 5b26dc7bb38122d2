/**
 * The daemon's API, called with curl(1) on the host: without hardware virtualization the command line, a process of Node, takes
 * five seconds to start, and curl a third of a second.
 */
import type { SyncLine } from '../../agent/control/protocol.ts';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import type { LabHost } from './host.ts';
import { until } from './run.ts';

const SOCKET = '/run/fairlead/agent.sock';
const RUN_MS = 600_000;

export interface DaemonApi {
  /** null if the daemon does not answer. */
  get<T>(address: string): Promise<T | null>;
  status(): Promise<StatusDocument | null>;
  /** Requests a run and waits until it is over. @returns null if the daemon does not answer, or disappears */
  sync(): Promise<Extract<SyncLine, { type: 'done' }> | null>;
  /** Waits for a daemon that answers with a status that satisfies the condition. */
  statusWhere(what: string, fits: (status: StatusDocument) => boolean): Promise<StatusDocument>;
}

/** The status of a daemon that answers, for polling: the start of the command line would take many times as long. */
export async function statusOf(host: LabHost): Promise<StatusDocument> {
  const status = await apiOf(host).status();
  if (status === null) throw new Error(`the daemon of ${host.name} does not answer`);
  return status;
}

export function apiOf(host: LabHost): DaemonApi {
  const curl = async (address: string, ...more: string[]) => {
    const argv = ['curl', '-s', '--unix-socket', SOCKET, ...more, `http://fairlead/v1/${address}`];
    const { code, stdout } = await host.exec(argv, { check: false, timeoutMs: RUN_MS });
    return code === 0 ? stdout : null;
  };
  const get = async <T>(address: string) => {
    const text = await curl(address);
    return text === null ? null : (JSON.parse(text) as T);
  };
  const status = () => get<StatusDocument>('status');
  return {
    get,
    status,
    async sync() {
      const text = await curl('sync', '-X', 'POST', '-H', 'content-type: application/json', '-d', '{}');
      const lines = (text ?? '').split('\n').filter(Boolean);
      const last = lines.map((line) => JSON.parse(line) as SyncLine).at(-1);
      return last?.type === 'done' ? last : null;
    },
    async statusWhere(what, fits) {
      let last: StatusDocument | null = null;
      try {
        return await until(`status of ${host.name}: ${what}`, RUN_MS, async () => {
          last = await status();
          return last !== null && fits(last) ? last : undefined;
        });
      } catch (thrown) {
        throw new Error(`${thrown instanceof Error ? thrown.message : ''}; last: ${JSON.stringify(last)}`);
      }
    },
  };
}
