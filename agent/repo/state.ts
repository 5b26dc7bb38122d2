/** A text of a host's desired state, without details that make no difference: equal states have equal texts. */
import { createHash } from 'node:crypto';
import type { RenderedHost } from './fleet.ts';

/** Places are left out: a comment moves lines and changes no host. Errors count, by what they say. */
export function printableState(loaded: RenderedHost): string {
  const resources = loaded.resources
    .map(({ spec: _spec, origin: _origin, attributes: _attributes, ...rest }) => sorted(rest))
    .map((resource) => JSON.stringify(resource))
    .sort();
  const secrets = loaded.secrets.map((file) => [
    file,
    createHash('sha256')
      .update(loaded.files.get(file) ?? new Uint8Array())
      .digest('hex'),
  ]);
  const issues = [...new Set(loaded.issues.map((i) => `${i.severity} ${i.file} ${i.message}`))].sort();
  const { roles: _, ...host } = loaded.host;
  return JSON.stringify({ resources, host: sorted(host), labels: sorted(loaded.labels), secrets, issues });
}

const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => [key, sorted(item)]),
  );
};
