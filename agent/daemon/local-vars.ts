/** Variables of this host only, from agent.yaml and the file that it names, which are not in git. */
import { check } from '../../manifests-schema/check.ts';
import { formatIssue } from '../../manifests-schema/issue.ts';
import { vars as schema } from '../../manifests-schema/settings.ts';
import { parseYaml } from '../../manifests-schema/yaml.ts';
import type { AgentConfig } from '../config.ts';
import type { Var } from '../core/render/layers.ts';
import type { Problem } from '../core/types.ts';
import { AgentError, asAgentError } from '../errors.ts';
import { readNamed } from '../reading.ts';

export interface LocalVars {
  /** Values by name; the same map object as long as nothing changed. */
  current(): ReadonlyMap<string, Var>;
  /** Reads the file again. If it cannot be read, the former values stay. */
  look(): Promise<void>;
  /** Why the file could not be read at the last try. */
  problems(): readonly Problem[];
}

export type LocalVarsConfig = Pick<AgentConfig, 'vars' | 'varsFile' | 'varLines'>;

/**
 * @param configFile the file with `vars`, for messages
 * @throws AgentError `InvalidConfig` if the file cannot be read now, because there are no former values
 */
export async function openLocalVars(config: LocalVarsConfig, configFile: string): Promise<LocalVars> {
  const { varsFile } = config;
  let text = varsFile === undefined ? '' : await textOf(varsFile);
  let vars = merged(config, configFile, text);
  let problem: Problem | null = null;
  return {
    current: () => vars,
    async look() {
      if (varsFile === undefined) return;
      try {
        const now = await textOf(varsFile);
        if (now !== text) vars = merged(config, configFile, now);
        text = now;
        problem = null;
      } catch (thrown) {
        const { code, message } = asAgentError(thrown, { code: 'InvalidConfig', phase: 'config' });
        const said = `${message}; the values that were read before stay in force`;
        problem = { id: 'agent.yaml', reason: code, message: said, file: null, line: null };
      }
    },
    problems: () => (problem === null ? [] : [problem]),
  };
}

async function textOf(file: string): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await readNamed(file));
  } catch (thrown) {
    const { code, message } = thrown as NodeJS.ErrnoException;
    const why = code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'it is not UTF-8' : message;
    throw invalid(`cannot read ${file}, which \`varsFile\` of agent.yaml names: ${why}`);
  }
}

/** Values in agent.yaml itself override those of the file. */
function merged(config: LocalVarsConfig, configFile: string, text: string): ReadonlyMap<string, Var> {
  const found = new Map<string, Var>();
  const file = config.varsFile ?? '';
  const parsed = parseYaml(file, text);
  const checked =
    parsed.issues.length > 0
      ? { ok: false as const, issues: parsed.issues }
      : check(schema, parsed, parsed.value ?? {});
  if (!checked.ok) throw invalid(checked.issues.map(formatIssue).join('\n'));
  for (const [name, value] of Object.entries(checked.value))
    found.set(name, { value, origin: { file, line: parsed.locate([name]).line, layer: 'agent.yaml' } });
  for (const [name, value] of Object.entries(config.vars))
    found.set(name, { value, origin: { file: configFile, line: config.varLines[name] ?? 1, layer: 'agent.yaml' } });
  return found;
}

const invalid = (message: string) => new AgentError({ code: 'InvalidConfig', phase: 'config', message });
