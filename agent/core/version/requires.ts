/** `requires` of fleet.yaml: read first, because an older agent does not understand newer files. Pure. */
import { REQUIRES } from '../../../manifests-schema/fleet.ts';
import { parseYaml } from '../../../manifests-schema/yaml.ts';
import type { Issue } from '../types.ts';

const FILE = 'fleet.yaml';

/**
 * @param version of this agent, e.g. `0.3.1`; the part after `-` or `+` is ignored
 * @returns the single error to report if this agent is too old, or null
 */
export function agentTooOld(files: ReadonlyMap<string, Uint8Array>, version: string): Issue | null {
  const bytes = files.get(FILE);
  if (bytes === undefined) return null;
  const parsed = parseYaml(FILE, new TextDecoder().decode(bytes));
  const requires = (parsed.value as { requires?: unknown } | null | undefined)?.requires;
  const wanted = typeof requires === 'string' ? REQUIRES.exec(requires) : null;
  if (
    wanted === null ||
    !isOlder(
      partsOf(version),
      wanted.slice(1).map((part) => Number(part ?? 0)),
    )
  )
    return null;
  const { line, column } = parsed.locate(['requires']);
  return {
    ...{ file: FILE, line, column, key: 'requires', severity: 'error', reason: 'AgentTooOld' },
    message: `this repository requires fairlead ${requires}, and this is ${version}; update fairlead on this host`,
  };
}

const partsOf = (version: string): number[] => (version.split(/[-+]/)[0] ?? '').split('.').map(Number);

function isOlder(has: readonly number[], wanted: readonly number[]): boolean {
  for (const [i, least] of wanted.entries()) {
    const part = has[i] ?? 0;
    if (part !== least) return part < least;
  }
  return false;
}
