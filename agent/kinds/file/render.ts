/** One `files` entry → one resource, or, for a tree, one for each file and directory in it. Pure. */
import type { FileEntry } from '../../../manifests-schema/kinds/file.ts';
import type { RenderContext, Rendered } from '../../core/kind.ts';
import { pathProblem } from '../../core/names/reserved-paths.ts';
import { resolveSource } from '../../core/names/source-path.ts';
import { contentOf, modeOf, sizeOf } from '../../core/payload/payload.ts';
import type { FileSpec } from './spec.ts';

export const MAX_BYTES = 64 * 1024 * 1024;
/** Directories that the system needs: undeclared files in them must not be removed. */
const NEVER_PURGED =
  /^\/[^/]+$|^\/usr\/(local\/)?(bin|sbin|lib|lib32|lib64|libexec|share|include|src)$|^\/usr\/local$|^\/var\/(lib|log|cache|spool|tmp)$|^\/etc\/(systemd|ssh|pam\.d|apt|default|init\.d|ssl)$|^\/etc\/systemd\/system$/;

export function renderFile(entry: FileEntry, context: RenderContext): Rendered {
  const { key } = context;
  const fail = (at: readonly string[], message: string): Rendered => ({
    resources: [],
    issues: [context.issue(at, message)],
  });
  const isDir = key.endsWith('/');
  const path = isDir ? key.replace(/\/+$/, '') : key;
  const wrong = pathProblem(path);
  if (wrong) return fail([], `\`${key}\` ${wrong}`);
  const forms = (['content', 'source', 'link', 'state'] as const).filter((form) => entry[form] !== undefined);
  if (forms.length > 1)
    return fail([forms[1] ?? ''], `\`${key}\` has both \`${forms[0]}\` and \`${forms[1]}\`; keep one`);
  const directory = isDir || entry.source !== undefined || entry.state === 'absent';
  if (entry.purge === true && !directory)
    return fail(
      ['purge'],
      '`purge` is only for directories and trees; end the key in /, or give a `source` that is a directory',
    );
  if (entry.purge === true && NEVER_PURGED.test(path))
    return fail(
      ['purge'],
      `${path} contains files that the system needs, so it cannot be purged; purge a directory below it`,
    );
  if (entry.validate !== undefined && !entry.validate.some((arg) => arg.includes('%s')))
    return fail(['validate'], '`validate` has no "%s"; write it where the program takes the name of the candidate');
  if (entry.validate !== undefined && entry.content === undefined && entry.source === undefined)
    return fail(['validate'], '`validate` is only for files with `content` or `source`');
  if (forms.length === 0 && !isDir)
    return fail(
      [],
      `\`${key}\` says nothing of what it is; give \`content\`, \`source\` or \`link\`, or end the key in / for a directory`,
    );

  const base = { owner: entry.owner ?? 'root', group: entry.group ?? 'root', secret: false };
  const purge = entry.purge === true ? { purge: true } : {};
  const validate = entry.validate === undefined ? {} : { validate: entry.validate };
  const mode = (fallback: number) => (entry.mode === undefined ? fallback : Number.parseInt(entry.mode, 8));
  const make = (spec: FileSpec) => context.declare(spec.path, spec);
  const one = (spec: FileSpec): Rendered => ({ resources: [make(spec)], issues: [] });

  if (entry.state === 'absent') return one({ path, type: 'absent', mode: 0, ...base, ...purge });
  if (entry.link !== undefined) return one({ path, type: 'link', target: entry.link, mode: 0o777, ...base });
  if (entry.content !== undefined) {
    if (isDir) return fail(['content'], `\`${key}\` ends in /, so it is a directory and can have no \`content\``);
    const content = new TextEncoder().encode(entry.content);
    return one({ path, type: 'file', content, mode: mode(0o644), ...base, ...validate });
  }
  if (entry.source === undefined) return one({ path, type: 'directory', mode: mode(0o755), ...base, ...purge });

  const source = resolveSource(context.file, entry.source, context.root);
  if (source === null)
    return fail(['source'], `\`source: ${entry.source}\` leaves ${context.root}; put the file below it`);
  const content = contentOf(context.payload, source);
  const tooLarge = (name: string) =>
    `${name} has more than 64 MiB, which is more than a payload file may have; deliver it another way, as an image or a package`;
  if (content !== undefined && isDir)
    return fail(['source'], `\`${key}\` ends in /, so it is a directory, and \`source: ${entry.source}\` is a file`);
  if (content !== undefined && entry.purge === true)
    return fail(['purge'], `\`purge\` is only for directories and trees, and \`source: ${entry.source}\` is a file`);
  if (content !== undefined && sizeOf(content) > MAX_BYTES) return fail(['source'], tooLarge(source));
  const from = (file: string) => ({
    ...base,
    mode: mode(modeOf(context.payload, file)),
    secret: context.payload.secret?.(file) ?? false,
  });
  if (content !== undefined) return one({ path, type: 'file', content, ...from(source), ...validate });
  const inside = [...context.payload.keys()].filter((f) => f.startsWith(`${source}/`)).sort();
  if (inside.length === 0)
    return fail(['source'], `\`source: ${entry.source}\` is not in the repository; expected it at ${source}`);

  const dirs = new Set<string>([path]);
  for (const f of inside) {
    const parts = f
      .slice(source.length + 1)
      .split('/')
      .slice(0, -1);
    parts.forEach((_, i) => {
      dirs.add(`${path}/${parts.slice(0, i + 1).join('/')}`);
    });
  }
  const resources = [...dirs].map((dir) => make({ path: dir, type: 'directory', mode: 0o755, ...base, ...purge }));
  for (const f of inside) {
    const below = contentOf(context.payload, f) ?? new Uint8Array();
    if (sizeOf(below) > MAX_BYTES) return fail(['source'], tooLarge(f));
    resources.push(
      make({
        path: `${path}/${f.slice(source.length + 1)}`,
        type: 'file',
        content: below,
        ...from(f),
        ...validate,
      }),
    );
  }
  return { resources, issues: [] };
}
