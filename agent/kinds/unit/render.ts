/** One `units` entry → one resource. Pure. */
import type { UnitEntry } from '../../../manifests-schema/kinds/unit.ts';
import type { RenderContext, Rendered } from '../../core/kind.ts';
import { resolveSource } from '../../core/names/source-path.ts';
import { textOrIssue } from '../../core/strict-text.ts';
import type { Issue } from '../../core/types.ts';
import type { UnitSpec } from './spec.ts';

/** systemd.unit(5): names and the suffixes of units that a file can make. */
const UNIT_NAME = /^[A-Za-z0-9:_.\\@-]{1,240}\.(service|socket|target|timer|path|mount|automount|swap|slice)$/;
const DROPIN_NAME = /^[A-Za-z0-9:_.@-]{1,200}\.conf$/;
/** The agent's own unit, the one that upgrades it, and those that run its jobs and unpack packs. */
const OWN = /^fairlead(-upgrade|-(job|unless|unpacks)-.*)?\./;
/** Units on which the whole host depends, fairlead included: stopping one stops the host. */
const SYSTEM = /^(-\.mount|-\.slice|init\.scope)$/;
/** Units that may have drop-ins, but must not be stopped or masked: the agent runs in them, or reaches systemd through them. */
const NEEDED = /^(system\.slice|dbus\.(service|socket)|dbus-broker\.service)$/;
/** A line that ends in a backslash continues on the next line that is no comment: systemd.syntax(7). */
const CONTINUED = /\\\n(?:[ \t]*[#;].*\n)*/g;
/** An alias of the agent's own unit. */
const OWN_ALIAS = /^\s*Alias\s*=.*(?<![\w@.:\\-])fairlead(?:-upgrade)?\.service(?![\w@.:\\-])/m;
const isTemplate = (name: string): boolean => /@\.[a-z]+$/.test(name);

export function renderUnit(entry: UnitEntry, context: RenderContext): Rendered {
  const { key: name } = context;
  const issues: Issue[] = [];
  const wrong = (at: readonly string[], message: string) => void issues.push(context.issue(at, message));
  /** The text of a unit or a drop-in; undefined if it has neither `content` nor `source`. */
  const textOf = (at: readonly string[], { content, source }: { content?: string; source?: string }) => {
    if (content !== undefined && source !== undefined)
      wrong([...at, 'source'], `\`${at.at(-1) ?? name}\` has both \`content\` and \`source\`; keep one`);
    if (source === undefined) return content;
    const path = resolveSource(context.file, source, context.root);
    const bytes = path === null ? undefined : context.payload.get(path);
    if (bytes === undefined)
      wrong([...at, 'source'], `\`source: ${source}\` is not in the repository below ${context.root}`);
    const { text, issue } = textOrIssue(path ?? source, bytes ?? new Uint8Array());
    if (issue) issues.push(issue);
    return text ?? '';
  };

  if (!UNIT_NAME.test(name))
    wrong(
      [],
      `\`${name}\` is not a unit name; it ends in .service, .timer, .socket, .target, .path, .mount, .automount, .swap or .slice`,
    );
  if (OWN.test(name)) wrong([], `\`${name}\` is fairlead's own and cannot be managed`);
  if (SYSTEM.test(name)) wrong([], `the whole host depends on \`${name}\`, so it cannot be managed`);
  // Nothing more can be checked if the name is invalid.
  if (issues.length > 0) return { resources: [], issues };
  const content = textOf([], given(entry));
  const dropins: Record<string, string> = {};
  for (const [file, dropin] of Object.entries(entry.dropins ?? {})) {
    if (!DROPIN_NAME.test(file)) wrong(['dropins', file], `\`${file}\` is not a name of a drop-in; it ends in .conf`);
    const text = textOf(['dropins', file], given(dropin));
    if (text === undefined) wrong(['dropins', file], `\`${file}\` says nothing; give \`content\` or \`source\``);
    else dropins[file] = text;
  }
  const hasDropins = Object.keys(dropins).length > 0;
  const { enabled, masked, state } = entry;
  if (NEEDED.test(name) && (masked === true || state === 'stopped'))
    wrong([masked === true ? 'masked' : 'state'], `\`${name}\` cannot be stopped or masked: fairlead itself needs it`);
  if ([content, ...Object.values(dropins)].some((text) => OWN_ALIAS.test((text ?? '').replace(CONTINUED, ' '))))
    wrong([], `\`${name}\` has \`Alias=fairlead.service\`, which is fairlead's own; choose another name`);
  if (masked === true) {
    const clash = (['content', 'source', 'dropins', 'enabled', 'state'] as const).find(
      (key) =>
        entry[key] !== undefined && !(key === 'state' && state === 'stopped') && !(key === 'enabled' && !enabled),
    );
    if (clash) wrong([clash], `\`${name}\` is masked, so it can have no \`${clash}\`; keep one of the two`);
  }
  if (isTemplate(name) && state !== undefined)
    wrong(['state'], `\`${name}\` is a template; only its instances, such as ${name.replace('@', '@1')}, have a state`);
  if (content === undefined && !hasDropins && state === undefined && enabled === undefined && masked === undefined)
    wrong(
      [],
      `\`${name}\` says nothing; give \`content\`, \`source\` or \`dropins\`, \`enabled\`, \`masked\` or \`state\``,
    );
  if (issues.length > 0) return { resources: [], issues };

  const spec: UnitSpec = {
    name,
    onChange: entry.on_change ?? 'restart',
    ...(entry.on_change === 'restart' ? { restartsRemaining: true } : {}),
    ...(content === undefined ? {} : { content }),
    ...(hasDropins ? { dropins } : {}),
    ...(enabled === undefined ? {} : { enabled }),
    ...(masked === undefined ? {} : { masked }),
    ...(state === undefined ? {} : { state }),
  };
  return { resources: [context.declare(name, spec)], issues: [] };
}

/** Leaves out missing keys, for exact optional types. */
const given = ({ content, source }: { content?: string | undefined; source?: string | undefined }) => ({
  ...(content === undefined ? {} : { content }),
  ...(source === undefined ? {} : { source }),
});
