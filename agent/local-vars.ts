/** Variables of this host alone, from agent.yaml and the file that it names: values that differ from host to host and are not in git. */
import { check } from '../manifests-schema/check.ts';
import { formatIssue } from '../manifests-schema/issue.ts';
import { vars as schema } from '../manifests-schema/settings.ts';
import { parseYaml } from '../manifests-schema/yaml.ts';
import type { AgentConfig } from './config.ts';
import type { Var } from './core/layers.ts';
import type { Problem } from './core/types.ts';
import { AgentError, asAgentError } from './errors.ts';
import { readNamed } from './reading.ts';

export interface LocalVars {
  /** By name; the same map as long as nothing changed. */
  current(): ReadonlyMap<string, Var>;
  /** Reads the file again. One that cannot be read leaves everything as it was. */
  look(): Promise<void>;
  /** Why the file could not be read when it was last looked at. */
  problems(): readonly Problem[];
}

export type LocalVarsConfig = Pick<AgentConfig, 'vars' | 'varsFile' | 'varLines'>;

/**
 * @param configFile where `vars` stands
 * @throws AgentError `InvalidConfig` if the file cannot be read now: nothing is known of it yet
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

/** What agent.yaml itself says stands above what its file says. */
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
