/** Reads relay.yaml. */
import { check } from '../../../manifests-schema/check.ts';
import { formatIssue, type Issue } from '../../../manifests-schema/issue.ts';
import { type RelaySettings, relaySettings } from '../../../manifests-schema/relay.ts';
import { parseYaml } from '../../../manifests-schema/yaml.ts';
import { AgentError } from '../../errors.ts';
import { readNamed } from '../../reading.ts';

/** With every default made explicit. Throws AgentError `InvalidConfig`, a line for each error with file, line and column. */
export async function readSettings(file: string): Promise<RelaySettings> {
  const text = await readNamed(file).catch((thrown: Error) => {
    throw invalid(`cannot read ${file}: ${thrown.message}; docs/notify.md shows one`);
  });
  return parseSettings(file, text.toString('utf8'));
}

export function parseSettings(file: string, text: string): RelaySettings {
  const parsed = parseYaml(file, text);
  if (parsed.issues.length > 0) throw complaints(parsed.issues);
  const checked = check(relaySettings, parsed, parsed.value ?? {});
  if (!checked.ok) throw complaints(checked.issues);
  return checked.value;
}

const complaints = (issues: readonly Issue[]) => invalid(issues.map(formatIssue).join('\n'));
const invalid = (message: string) => new AgentError({ code: 'InvalidConfig', phase: 'config', message });
