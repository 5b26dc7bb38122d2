/** The variables of a stack, and what Compose itself takes from them. Pure. */
import type { Issue } from '../../core/types.ts';
import { EnvFileError, parseEnv } from '../merge/dotenv.ts';
import type { ProjectInput } from './load.ts';

/** Later wins: variables of the fleet override the stack's own .env, which overrides the built-ins. */
export function variablesOf({ env, vars, builtins }: ProjectInput, issues: Issue[]): Map<string, string> {
  let own = new Map<string, string>();
  try {
    own = env ? parseEnv(env.text, (name) => vars.get(name)) : own;
  } catch (thrown) {
    if (!(thrown instanceof EnvFileError)) throw thrown;
    const { line, message } = thrown;
    issues.push({ file: env?.path ?? '', line, column: 1, key: '', message, severity: 'error' });
  }
  return new Map([...builtins, ...own, ...vars]);
}

const TRUE = /^(1|t|true|y|yes|on)$/i;

/** Switches of the `docker compose` program that change what files mean, and that an agent does not have. */
export function checkSwitches(input: ProjectInput, variables: ReadonlyMap<string, string>, issues: Issue[]): void {
  for (const name of ['COMPOSE_COMPATIBILITY', 'COMPOSE_CONVERT_WINDOWS_PATHS'])
    if (TRUE.test(variables.get(name) ?? ''))
      issues.push(atVariable(input, name, `${name} is not supported; remove it`));
  if (input.vars.has('COMPOSE_ENV_FILES'))
    issues.push(
      atVariable(
        input,
        'COMPOSE_ENV_FILES',
        'COMPOSE_ENV_FILES is not supported; name the files in `env_file`, or the variables in `vars`',
      ),
    );
}

/** Variables have no place of their own but a line of .env. */
export function atVariable({ env, files, dir }: ProjectInput, name: string, message: string): Issue {
  const line = (env?.text.split('\n') ?? []).findIndex((text) =>
    text
      .trim()
      .replace(/^export\s+/, '')
      .startsWith(name),
  );
  const file = line >= 0 ? env?.path : files[0]?.path;
  return { file: file ?? dir, line: Math.max(0, line) + 1, column: 1, key: name, message, severity: 'error' };
}
