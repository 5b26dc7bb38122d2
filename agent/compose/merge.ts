/** Several files of one stack into one, by the Compose Specification's rules ("Merge and override"). Pure, on plain data. */

type Json = Record<string, unknown>;

/** Taken over whole, never joined. */
const REPLACED = ['command', 'entrypoint', 'test'];
/** Lists of KEY=value that are mappings at heart: joined by key. */
const MAPPINGS = ['environment', 'labels', 'driver_opts'];

export function mergeFiles(base: Json, override: Json): Json {
  return mergeMap(base, override, []);
}

function mergeMap(base: Json, override: Json, path: readonly string[]): Json {
  const merged: Json = { ...base };
  for (const [key, value] of Object.entries(override)) {
    if (value === undefined) continue;
    merged[key] = Object.hasOwn(base, key) ? mergeValue(base[key], value, [...path, key]) : value;
  }
  return merged;
}

function mergeValue(base: unknown, override: unknown, path: readonly string[]): unknown {
  const key = path.at(-1) ?? '';
  if (REPLACED.includes(key) || base === null || override === null) return override ?? base;
  if (MAPPINGS.includes(key)) return { ...toMap(base), ...toMap(override) };
  if (key === 'networks' || key === 'depends_on') return mergeMap(listToMap(base), listToMap(override), path);
  if (Array.isArray(base) && Array.isArray(override)) return mergeLists(base, override, key);
  if (isMap(base) && isMap(override)) return mergeMap(base, override, path);
  return override;
}

/** Mounts are told apart by their target, everything else by being the same. */
function mergeLists(base: readonly unknown[], override: readonly unknown[], key: string): unknown[] {
  const identity = (item: unknown): string => (key === 'volumes' ? mountTarget(item) : JSON.stringify(item));
  const replaced = new Set(override.map(identity));
  return [...base.filter((item) => !replaced.has(identity(item))), ...override];
}

function mountTarget(item: unknown): string {
  if (isMap(item)) return String(item.target);
  const parts = String(item).split(':');
  return parts[1] ?? parts[0] ?? '';
}

/** `[A=1, B]` → `{A: '1', B: null}` */
export function toMap(value: unknown): Json {
  if (!Array.isArray(value)) return isMap(value) ? value : {};
  return Object.fromEntries(
    value.map((item) => {
      const text = String(item);
      const at = text.indexOf('=');
      return at === -1 ? [text, null] : [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}

/** `[a, b]` → `{a: null, b: null}` */
export function listToMap(value: unknown): Json {
  if (Array.isArray(value)) return Object.fromEntries(value.map((item) => [String(item), null]));
  return isMap(value) ? value : {};
}

export const isMap = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
