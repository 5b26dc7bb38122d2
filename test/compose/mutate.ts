/** Every way to change one field of a model: a comparison must notice each. */

/** One at a time: each value changed, each key and item removed, each list reversed, one key added to each mapping. */
export function* mutations(model: unknown): Generator<{ path: string; mutant: unknown }> {
  yield* mutate(model, '', (mutant) => mutant);
}

type Rebuild = (value: unknown) => unknown;

function* mutate(value: unknown, path: string, rebuild: Rebuild): Generator<{ path: string; mutant: unknown }> {
  if (Array.isArray(value)) {
    if (value.length > 1 && JSON.stringify(value) !== JSON.stringify(value.toReversed()))
      yield { path: `${path} turned round`, mutant: rebuild(value.toReversed()) };
    for (const [i, item] of value.entries()) {
      yield { path: `${path}[${i}] gone`, mutant: rebuild(value.toSpliced(i, 1)) };
      yield* mutate(item, `${path}[${i}]`, (mutant) => rebuild(value.with(i, mutant)));
    }
  } else if (typeof value === 'object' && value !== null) {
    yield { path: `${path} has more`, mutant: rebuild({ ...value, 'a-key-of-its-own': 1 }) };
    for (const [key, item] of Object.entries(value)) {
      yield {
        path: `${path}.${key} gone`,
        mutant: rebuild(Object.fromEntries(Object.entries(value).filter(([k]) => k !== key))),
      };
      const replaced: Rebuild = (mutant) =>
        rebuild(Object.fromEntries(Object.entries(value).map(([k, v]) => [k, k === key ? mutant : v])));
      yield* mutate(item, `${path}.${key}`, replaced);
    }
  } else yield { path, mutant: rebuild(changed(value)) };
}

function changed(value: unknown): unknown {
  if (typeof value === 'string') return `${value}?`;
  if (typeof value === 'number') return value + 1;
  return typeof value === 'boolean' ? !value : 'was null';
}
