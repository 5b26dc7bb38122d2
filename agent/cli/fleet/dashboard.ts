/** `fairlead fleet dashboard`: serves the page that shows the fleet, or writes its files for another web server. */
import type { DashboardDocument } from '../../../manifests-schema/documents.ts';
import { isHostName } from '../../../manifests-schema/host-name.ts';
import { WEBSOCKET_URL } from '../../../manifests-schema/plain-credentials.ts';
import { type Context, type DashboardRequest, EXIT } from '../context.ts';
import { namesOf } from './select.ts';

export interface FleetDashboardFlags {
  /** Websocket of the broker, as browsers reach it. */
  websocket?: string;
  /** Name of a context in fleet.yaml. */
  context?: string;
  prefix?: string;
  fleet?: string;
  /** `HOST:PORT` */
  listen: string;
  name: string[];
  login?: boolean;
  /** A file with a name in each line. */
  hosts?: string;
  repo?: string;
  out?: string;
}

export async function fleetDashboard(c: Context, flags: FleetDashboardFlags): Promise<number> {
  const { websocket, context, prefix, fleet, login = false, out } = flags;
  const listen = addressOf(flags.listen);
  const complaint = complaintOf(flags, listen);
  if (complaint !== null || listen === null) {
    c.complain(complaint ?? '');
    return EXIT.usage;
  }
  const hosts = await namesOf(flags);
  const request: DashboardRequest = {
    login,
    ...(websocket ? { websocket } : {}),
    ...(context ? { context } : {}),
    ...(prefix ? { prefix } : {}),
    ...(fleet ? { fleet } : {}),
    ...(hosts ? { hosts } : {}),
  };
  if (out !== undefined) {
    const { files, websocket } = await c.deps.writeDashboard(c.options, { ...request, out });
    c.print(
      { schema: 1, url: null, out, files, websocket } satisfies DashboardDocument,
      () => `Wrote ${files.length} files to ${out}; any web server can serve them. config.json names the broker.`,
    );
    return EXIT.ok;
  }
  const left = c.terminal.interrupted();
  const served = await c.deps.serveDashboard(c.options, { ...request, listen, names: flags.name });
  c.print(
    { schema: 1, url: served.url, out: null, files: [], websocket: served.websocket } satisfies DashboardDocument,
    () => `The fleet is at ${served.url} until Ctrl-C.`,
  );
  if (!left.aborted) await new Promise((resolve) => left.addEventListener('abort', resolve, { once: true }));
  await served.stop();
  return EXIT.ok;
}

function complaintOf({ websocket, listen: asked, name }: FleetDashboardFlags, listen: unknown): string | null {
  if (websocket !== undefined && (!WEBSOCKET_URL.test(websocket) || !URL.canParse(websocket)))
    return `--websocket must begin with wss:// or ws://, got ${websocket}`;
  if (listen === null) return `--listen takes HOST:PORT, such as 127.0.0.1:8080, got ${asked}`;
  const bad = name.find((one) => !isHostName(one.toLowerCase()));
  return bad === undefined ? null : `${bad} is no name of a machine`;
}

/** `127.0.0.1:8080`, `[::1]:8080`, `:8080` (all addresses) */
function addressOf(text: string): { host: string; port: number } | null {
  const [, host = '', port = ''] = /^(\[[0-9a-f:.]+\]|[^:[\]\s]*):(\d{1,5})$/i.exec(text) ?? [];
  if (port === '' || Number(port) > 65_535) return null;
  return { host: host.replace(/^\[|\]$/g, '') || '::', port: Number(port) };
}
