/** `fairlead validate [DIR]`: every host of a fleet repository, offline, for CI. */
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { AgentError } from '../errors.ts';
import { openFleet } from '../repo/fleet.ts';
import { parsePart, partOf, partsFor, validateParts } from '../repo/parts.ts';
import { openDirectory } from '../repo/tree.ts';
import { type Validation, validateFleet } from '../repo/validate.ts';
import { type Format, githubText, gitlabReport, issuesText } from './annotations.ts';
import { type Context, EXIT } from './context.ts';
import { count } from './words.ts';

export interface ValidateOptions {
  format: Format;
  part?: string;
}

export async function validate(c: Context, dir: string, options: ValidateOptions): Promise<number> {
  const part = options.part === undefined ? null : parsePart(options.part);
  if (options.part !== undefined && part === null) {
    c.complain('--part is K/N, such as 1/2; see `fairlead validate --help`');
    return EXIT.usage;
  }
  const fleet = await openFleet(openDirectory(dir));
  const kinds = c.deps.offlineKinds();
  const of = part === null ? partsFor(fleet.hosts.length, availableParallelism()) : 1;
  const result =
    of > 1 ? await validateParts(c.deps.self, dir, of) : await validateFleet(part ? partOf(fleet, part) : fleet, kinds);
  show(c, options.format, result);
  return result.issues.some((i) => i.severity === 'error') ? EXIT.bad : EXIT.ok;
}

function show(c: Context, format: Format, result: Validation): void {
  const { issues } = result;
  const errors = issues.filter((i) => i.severity === 'error').length;
  const summary = `${count(result.hosts, 'host')}, ${count(errors, 'error')}, ${count(issues.length - errors, 'warning')}`;
  if (format === 'gitlab')
    c.write(JSON.stringify(gitlabReport(issues, (text) => createHash('sha256').update(text).digest('hex'))));
  else if (format === 'json' || c.options.json) c.write(JSON.stringify({ schema: 1, ...result }));
  else if (format === 'github') c.write([githubText(issues), summary].filter(Boolean).join('\n'));
  else c.print(null, () => [issuesText(issues, c.style), summary].filter(Boolean).join('\n'));
}

/** The one host a command names. @throws AgentError `UnknownHost` */
export function unknownHost(name: string, known: readonly string[], near: string | undefined): AgentError {
  const hint = near ? `did you mean \`${near}\`?` : `there are ${known.slice(0, 10).join(', ')}`;
  return new AgentError({
    code: 'UnknownHost',
    phase: 'load',
    message: `no host \`${name}\` in this repository; ${hint}`,
  });
}
