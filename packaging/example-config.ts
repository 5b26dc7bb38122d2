/** agent.yaml with every key, as a comment: generated from the schema, so that it is always complete. */
import { z } from 'zod';
import { agentConfig } from '../manifests-schema/agent-config.ts';

interface Key {
  description?: string;
  default?: unknown;
  enum?: unknown[];
  properties?: Record<string, Key>;
  required?: string[];
}

/** @returns YAML; only `repo.url` is not commented out */
export function exampleConfig(): string {
  const schema = z.toJSONSchema(agentConfig, { io: 'input' }) as Key;
  return [
    '# An example of /etc/fairlead/agent.yaml; `fairlead init URL` writes a first one. All but repo.url may be left out.',
    '# man agent.yaml says more. A running agent reads the file again at `systemctl reload fairlead`.',
    '',
    ...lines(schema, ''),
    '',
  ].join('\n');
}

function lines(schema: Key, indent: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, key]) => {
    const isNeeded = schema.required?.includes(name) ?? false;
    const choices = key.enum ? `; one of ${key.enum.join(', ')}` : '';
    const about = key.description ? [`${indent}# ${key.description}${choices}`] : [];
    if (key.properties && isNeeded) return [...about, `${indent}${name}:`, ...lines(key, `${indent}  `)];
    if (key.properties) return [...about, ...entry(name, key).map((line) => `${indent}# ${line}`)];
    return isNeeded
      ? [...about, `${indent}${name}: ${EXAMPLE}`]
      : [...about, `${indent}# ${value(name, { default: key.default })}`];
  });
}

/** An optional key with everything below it, as text that the caller turns into comments. */
const entry = (name: string, key: Key): string[] => [
  `${name}:`,
  ...Object.entries(key.properties ?? {}).flatMap(([inner, of]) =>
    (of.properties ? entry(inner, of) : [value(inner, of)]).map((line) => `  ${line}`),
  ),
];

const value = (name: string, { default: standard, description }: Key): string =>
  standard === undefined ? `${name}:${description ? ` # ${description}` : ''}` : `${name}: ${JSON.stringify(standard)}`;

const EXAMPLE = 'https://git.example.com/fleet.git';
