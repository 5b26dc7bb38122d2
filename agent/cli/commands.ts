/** The commands that ask the daemon; each returns its exit code (product contract, section 5). */

import path from 'node:path';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import type {
  HistoryDocument,
  HistoryQuery,
  PlanDocument,
  ResourcesDocument,
  RunDocument,
  ShowDocument,
  SyncLine,
  SyncRequest,
} from '../control/protocol.ts';
import { AgentError } from '../errors.ts';
import { isWell } from '../fleet/model.ts';
import { type Context, EXIT } from './context.ts';
import {
  actionText,
  fleetText,
  historyText,
  planText,
  progressText,
  resourcesText,
  runText,
  showText,
  statusText,
} from './print.ts';

export async function status(c: Context): Promise<number> {
  const document = await need<StatusDocument>(c, 'status');
  c.print(document, () => statusText(document, c.now(), c.style));
  return document.sync === 'synced' && document.health === 'healthy' ? EXIT.ok : EXIT.bad;
}

export async function plan(c: Context, options: { dir?: string }): Promise<number> {
  const query = options.dir === undefined ? '' : `?dir=${encodeURIComponent(path.resolve(options.dir))}`;
  const document = await need<PlanDocument>(c, `plan${query}`);
  c.print(document, () => planText(document));
  if (document.error || document.issues.some((i) => i.severity === 'error')) return EXIT.bad;
  return document.actions.length > 0 ? EXIT.pending : EXIT.ok;
}

export async function sync(c: Context, request: SyncRequest, wait: boolean): Promise<number> {
  let done: Extract<SyncLine, { type: 'done' }> | null = null;
  let lastPhase = '';
  let lastProgress = '';
  await c.client.sync(request, wait, (line) => {
    if (line.type === 'done') done = line;
    else if (c.options.json) return;
    else if (line.type === 'progress') {
      const text = progressText(line);
      if (text !== lastProgress) c.say(text);
      lastProgress = text;
    } else if (line.type === 'action') c.say(actionText(line.action, c.style));
    else if (`${line.phase} ${line.detail ?? ''}` !== lastPhase) {
      lastPhase = `${line.phase} ${line.detail ?? ''}`;
      c.say(`${line.phase}${line.detail ? `: waiting for ${line.detail}` : ''} …`);
    }
  });
  if (!wait) {
    c.print({ schema: 1, accepted: true }, () => 'The run was accepted; see `fairlead status`.');
    return EXIT.ok;
  }
  if (done === null)
    throw new AgentError({
      code: 'DaemonUnreachable',
      phase: 'report',
      message: 'the daemon ended before the run did; see `journalctl -u fairlead`',
    });
  const result: Extract<SyncLine, { type: 'done' }> = done;
  c.print(result, () => syncText(result, c));
  if (result.run.sync === 'held') return EXIT.pending;
  return result.run.sync === 'synced' ? EXIT.ok : EXIT.bad;
}

function syncText({ run, status: after }: Extract<SyncLine, { type: 'done' }>, c: Context): string {
  const nothing =
    run.changed + run.failed === 0 && run.sync === 'synced' ? 'Nothing to do: the host matches its commit.\n' : '';
  return nothing + statusText(after, c.now(), c.style);
}

export async function resources(c: Context): Promise<number> {
  const document = await need<ResourcesDocument>(c, 'resources');
  c.print(document, () => resourcesText(document.resources, c.columns, c.style));
  return EXIT.ok;
}

export async function show(c: Context, id: string): Promise<number> {
  const document = await c.client.get<ShowDocument>(`resources/${encodeURIComponent(id)}`);
  if (document === null) {
    c.complain(`no resource ${id}; \`fairlead resources\` lists them`);
    return EXIT.unknown;
  }
  c.print(document, () => showText(document, c.style));
  return EXIT.ok;
}

export async function history(c: Context, run: string | undefined, query: HistoryQuery): Promise<number> {
  if (run !== undefined) {
    const id = Number(run.replace(/^#/, ''));
    const found = await orDatabase(
      () => c.client.get<RunDocument>(`history/${id}`),
      () => c.deps.readRun(c.options, id),
    );
    if (found === null) {
      c.complain(`no run ${run}; \`fairlead history\` lists them`);
      return EXIT.unknown;
    }
    c.print(found, () => runText(found, c.style));
    return EXIT.ok;
  }
  const params = new URLSearchParams(
    Object.entries(query).map(([k, v]): [string, string] => [k, v === true ? '1' : String(v)]),
  );
  const document = await orDatabase(
    () => need<HistoryDocument>(c, `history?${params}`),
    () => c.deps.readHistory(c.options, query),
  );
  c.print(document, () => historyText(document, c.columns, c.style));
  return EXIT.ok;
}

export async function fleetStatus(c: Context): Promise<number> {
  const hosts = await c.deps.readFleet(c.options);
  c.print({ schema: 1, hosts }, () => fleetText(hosts, c.columns, c.now(), c.style));
  return hosts.every(isWell) ? EXIT.ok : EXIT.bad;
}

async function need<T>(c: Context, address: string): Promise<T> {
  const document = await c.client.get<T>(address);
  if (document === null)
    throw new AgentError({
      code: 'Refused',
      phase: 'report',
      message: `this daemon does not know ${address}; is it of another version?`,
    });
  return document;
}

/** History is worth reading most of all when the agent is down. */
async function orDatabase<T>(ask: () => Promise<T>, read: () => T): Promise<T> {
  try {
    return await ask();
  } catch (thrown) {
    if (thrown instanceof AgentError && thrown.code === 'DaemonUnreachable') return read();
    throw thrown;
  }
}
