/** The settings of the page: the broker's websocket URL, and the fleet. */
import { AgentError } from '../../errors.ts';
import type { Choice } from '../contexts.ts';
import type { PageConfig } from './files.ts';

export interface PageRequest {
  /** Flags of the command line; missing ones come with the broker that the other commands use. */
  websocket?: string;
  prefix?: string;
  fleet?: string;
  login: boolean;
  hosts?: readonly string[];
}

export interface PageChoice {
  request: PageRequest;
  /** See `chooseBroker`. */
  choose(): Promise<Choice>;
}

/** Throws AgentError `InvalidConfig`, `BrokerUnreachable` (nothing names a websocket). */
export async function choosePage({ request, choose }: PageChoice): Promise<PageConfig> {
  const { websocket, login, hosts } = request;
  const chosen = await choose().catch((thrown: unknown) => {
    if (thrown instanceof AgentError && thrown.code === 'BrokerUnreachable') return null;
    throw thrown;
  });
  const broker = websocket ?? chosen?.websocket ?? null;
  if (broker === null) throw unreachable(chosen);
  const { prefix = 'fairlead', fleet = 'default' } = chosen ?? request;
  return { schema: 1, broker, prefix, fleet, login, ...(hosts ? { hosts } : {}) };
}

function unreachable(chosen: Choice | null): AgentError {
  const flag = 'say --websocket wss://HOST:PORT';
  const key = '`websocket: wss://HOST:PORT`';
  const message =
    chosen === null
      ? `no broker is named; ${flag}, or write a context with ${key} (docs/reporting.md)`
      : chosen.config !== null
        ? `no browser can reach ${chosen.broker.url}, which agent.yaml names; ${flag}`
        : `no browser can reach ${chosen.broker.url}, which ${chosen.broker.namedIn} names; ${flag}, or write ${key} beside it`;
  return new AgentError({ code: 'BrokerUnreachable', phase: 'report', message });
}
