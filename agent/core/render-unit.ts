/** One `units` entry → one resource. Pure. */
import { issueAt } from '../../manifests-schema/check.ts';
import type { UnitEntry } from '../../manifests-schema/manifest.ts';
import type { Parsed } from '../../manifests-schema/yaml.ts';
import { canonicalHash } from './hash.ts';
import { type LayerContext, resolveSource } from './render-file.ts';
import type { UnitSpec } from './specs.ts';
import type { Desired, Issue, ResourceId } from './types.ts';

/** systemd.unit(5): names and the suffixes of units that a file can make. */
const UNIT_NAME = /^[A-Za-z0-9:_.\\@-]{1,240}\.(service|socket|target|timer|path|mount|automount|swap|slice)$/;

export function renderUnit(
  context: LayerContext,
  parsed: Parsed,
  name: string,
  entry: UnitEntry,
): { resources: Desired[]; issues: Issue[] } {
  const fail = (at: readonly string[], message: string) => ({
    resources: [],
    issues: [issueAt(parsed, ['units', name, ...at], message)],
  });
  if (!UNIT_NAME.test(name))
    return fail(
      [],
      `\`${name}\` is not a unit name; it ends in .service, .timer, .socket, .target, .path, .mount, .automount, .swap or .slice`,
    );
  if (name === 'fairlead.service') return fail([], "`fairlead.service` is fairlead's own and cannot be managed");
  if (entry.content !== undefined && entry.source !== undefined)
    return fail(['source'], `\`${name}\` has both \`content\` and \`source\`; keep one`);
  let content = entry.content;
  if (entry.source !== undefined) {
    const source = resolveSource(parsed.file, entry.source, context.root);
    const bytes = source === null ? undefined : context.payload.get(source);
    if (bytes === undefined)
      return fail(['source'], `\`source: ${entry.source}\` is not in the repository below ${context.root}`);
    content = new TextDecoder().decode(bytes);
  }
  if (content === undefined && entry.state === undefined && entry.enabled === undefined) {
    return fail([], `\`${name}\` says nothing; give \`content\` or \`source\`, \`enabled\` or \`state\``);
  }
  const spec: UnitSpec = {
    name,
    onChange: entry.on_change ?? 'restart',
    ...(content === undefined ? {} : { content }),
    ...(entry.enabled === undefined ? {} : { enabled: entry.enabled }),
    ...(entry.state === undefined ? {} : { state: entry.state }),
  };
  const resource: Desired<UnitSpec> = {
    id: `unit:${name}`,
    spec,
    hash: canonicalHash(spec, context.sha256),
    after: (entry.after ?? []) as ResourceId[],
    notify: (entry.notify ?? []) as ResourceId[],
    origin: { file: parsed.file, line: parsed.locate(['units', name]).line, layer: context.layer },
  };
  return { resources: [resource], issues: [] };
}
