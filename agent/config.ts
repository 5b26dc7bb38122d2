/** Reads agent.yaml. */
import { validate as isCron } from 'node-cron';
import { type AgentConfigFile, agentConfig } from '../manifests-schema/agent-config.ts';
import { check, issueAt } from '../manifests-schema/check.ts';
import { formatIssue, type Issue } from '../manifests-schema/issue.ts';
import { parseYaml } from '../manifests-schema/yaml.ts';
import { AgentError } from './errors.ts';

export interface AgentConfig extends AgentConfigFile {
  host: string;
  /** Line of each name of `vars`, from 1. */
  varLines: Record<string, number>;
}

/**
 * The configuration with every default made explicit and `${host}`, `${label.x}` expanded in repo.path, repo.ref and mqtt.clientId.
 * @param hostname used where the file names no host
 * @throws AgentError `InvalidConfig`, a line for each error with file, line and column
 */
export function parseConfig(file: string, text: string, hostname: string): AgentConfig {
  const parsed = parseYaml(file, text);
  const checked =
    parsed.issues.length > 0
      ? { ok: false as const, issues: parsed.issues }
      : check(agentConfig, parsed, parsed.value ?? {});
  if (!checked.ok) throw invalid(checked.issues);
  const config = checked.value;
  if (!isCron(config.sync.schedule))
    throw invalid([
      issueAt(
        parsed,
        ['sync', 'schedule'],
        '`schedule` must be a cron expression of five fields, or six that begin with seconds, such as "*/5 * * * *" for every five minutes',
      ),
    ]);
  const host = config.host ?? hostname.toLowerCase();
  const expand = (value: string, section: 'repo' | 'mqtt', key: string): string =>
    value.replaceAll(/\$\{([^}]*)\}/g, (whole, name: string) => {
      const found =
        name === 'host' ? host : name.startsWith('label.') ? config.labels[name.slice('label.'.length)] : undefined;
      if (found !== undefined) return found;
      const message = `${key}: \`${whole}\` is not defined; known are \${host}${Object.keys(config.labels)
        .map((l) => `, \${label.${l}}`)
        .join('')}`;
      throw invalid([{ file, ...parsed.locate([section, key]), key: `${section}.${key}`, message, severity: 'error' }]);
    });
  const repo = {
    ...config.repo,
    path: expand(config.repo.path, 'repo', 'path').replace(/^\/+|\/+$/g, ''),
    ref: expand(config.repo.ref, 'repo', 'ref'),
  };
  const varLines = Object.fromEntries(
    Object.keys(config.vars).map((name) => [name, parsed.locate(['vars', name]).line]),
  );
  const { mqtt } = config;
  const id = mqtt?.clientId === undefined ? {} : { clientId: expand(mqtt.clientId, 'mqtt', 'clientId') };
  return { ...config, host, repo, ...(mqtt === undefined ? {} : { mqtt: { ...mqtt, ...id } }), varLines };
}

const invalid = (issues: readonly Issue[]) =>
  new AgentError({ code: 'InvalidConfig', phase: 'config', message: issues.map(formatIssue).join('\n') });

/** `256MB` → 256000000 */
export function sizeBytes(text: string): number {
  const match = /^(\d+)(MB|GB)$/.exec(text);
  if (!match)
    throw new AgentError({ code: 'InvalidConfig', phase: 'config', message: `not a size such as 256MB: ${text}` });
  return Number(match[1]) * (match[2] === 'GB' ? 1e9 : 1e6);
}
