/** `fairlead render HOST`: the resolved state of a host, and with --origin where each value was written. */
import { stringify } from 'yaml';
import { StoredFile } from '../../core/payload/payload.ts';
import type { Facts, Origin } from '../../core/types.ts';
import { AgentError } from '../../errors.ts';
import { readNamedSync } from '../../reading.ts';
import { openFleet, type RenderedHost, renderFleetHost } from '../../repo/fleet.ts';
import { notesOf } from '../../repo/notes.ts';
import { type FleetTree, withTree } from '../../repo/tree.ts';
import { unknownHost } from '../../repo/unknown-host.ts';
import { type Context, EXIT } from '../context.ts';
import { issuesText } from './annotations.ts';

export interface RenderOptions {
  dir: string;
  facts?: string;
  worktree?: boolean;
  origin?: boolean;
  format?: string;
}

export const render = (c: Context, name: string, options: RenderOptions): Promise<number> =>
  withTree(options.dir, { worktree: options.worktree ?? false }, (tree) => renderFrom(c, name, { ...options, tree }));

async function renderFrom(
  c: Context,
  name: string,
  { tree, ...options }: RenderOptions & { tree: FleetTree },
): Promise<number> {
  const fleet = await openFleet(tree, c.deps.version);
  const { dirty } = await notesOf(fleet, 'render');
  if (dirty) c.complain(dirty);
  const host = fleet.hosts.find((h) => h.name === name || h.path === name.replace(/\/+$/, ''));
  if (host === undefined) throw unknownHost(fleet, name);
  const facts = options.facts === undefined ? undefined : readFacts(options.facts);
  const rendered = await renderFleetHost(fleet, host, { ...c.deps.offlineKinds(), facts });
  const errors = rendered.issues.filter((i) => i.severity === 'error');
  if (errors.length > 0) {
    c.complain(`${host.path} has ${errors.length === 1 ? 'an error' : `${errors.length} errors`}`);
    const text = issuesText(
      rendered.issues.map((issue) => ({ ...issue, hosts: [host.path] })),
      c.style,
    );
    for (const line of text.split('\n')) c.complain(line);
    return EXIT.bad;
  }
  if (options.format === 'compose') {
    if (rendered.compose === null)
      throw new AgentError({
        code: 'Unsupported',
        phase: 'load',
        message: 'this version cannot print stacks in the form of `docker compose config`',
      });
    c.write(JSON.stringify(rendered.compose, null, c.options.json ? undefined : 2));
    return EXIT.ok;
  }
  const document = documentOf(host.name, host.path, rendered, options.origin ?? false);
  c.print(document, () => stringify(document, { lineWidth: 0 }).trimEnd());
  return EXIT.ok;
}

/** The fields have the same names as in the documents of `plan` and `show`. */
function documentOf(host: string, path: string, rendered: RenderedHost, withOrigin: boolean) {
  const place = ({ file, line, layer }: Origin) => `${file}:${line} (${layer})`;
  const resources = [...rendered.resources].sort((a, b) => (a.id < b.id ? -1 : 1));
  return {
    schema: 1,
    host,
    path,
    layers: rendered.layers,
    settings: rendered.host,
    labels: rendered.labels,
    vars: Object.fromEntries(
      [...rendered.vars].map(([name, { value, origin }]) => [
        name,
        withOrigin ? { value, origin: place(origin) } : value,
      ]),
    ),
    resources: Object.fromEntries(
      resources.map((r) => [
        r.id,
        {
          spec: readable(r.spec),
          ...(r.mode ? { mode: r.mode } : {}),
          ...(r.after.length > 0 ? { after: r.after } : {}),
          ...(r.notify.length > 0 ? { notify: r.notify } : {}),
          ...(withOrigin
            ? {
                origin: place(r.origin),
                ...(r.attributes
                  ? { attributes: Object.fromEntries(Object.entries(r.attributes).map(([k, at]) => [k, place(at)])) }
                  : {}),
              }
            : {}),
        },
      ]),
    ),
  };
}

/** Shows text as text, other bytes by their size, modes in octal, and no secret. */
function readable(spec: unknown): unknown {
  const { secret } = spec as { secret?: boolean };
  const walk = (value: unknown, key: string): unknown => {
    if (secret === true && ['content', 'dropins'].includes(key)) return '(secret)';
    if (key === 'mode' && typeof value === 'number') return `0${value.toString(8).padStart(3, '0')}`;
    if (value instanceof Uint8Array) return asText(value) ?? `(${value.length} bytes)`;
    if (value instanceof StoredFile) return `(${value.size} bytes)`;
    if (Array.isArray(value)) return value.map((item) => walk(item, ''));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, walk(item, name)]));
  };
  return walk(spec, '');
}

function asText(bytes: Uint8Array): string | null {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return text.includes('\0') ? null : text;
  } catch {
    return null;
  }
}

function readFacts(file: string): Facts {
  try {
    return JSON.parse(String(readNamedSync(file))) as Facts;
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new AgentError({ code: 'InvalidFacts', phase: 'load', message: `cannot read facts from ${file}: ${why}` });
  }
}
