/** A view of two maps as one, without copying the larger. */
export function union<V>(own: ReadonlyMap<string, V>, shared: ReadonlyMap<string, V>): ReadonlyMap<string, V> {
  function* entries(): MapIterator<[string, V]> {
    yield* own;
    for (const entry of shared) if (!own.has(entry[0])) yield entry;
  }
  function* keys(): MapIterator<string> {
    for (const [key] of entries()) yield key;
  }
  function* values(): MapIterator<V> {
    for (const [, value] of entries()) yield value;
  }
  const map: ReadonlyMap<string, V> = {
    get: (key) => own.get(key) ?? shared.get(key),
    has: (key) => own.has(key) || shared.has(key),
    get size() {
      let n = own.size;
      for (const key of shared.keys()) if (!own.has(key)) n++;
      return n;
    },
    forEach(callback) {
      for (const [key, value] of entries()) callback(value, key, map as Map<string, V>);
    },
    entries,
    keys,
    values,
    [Symbol.iterator]: entries,
  };
  return map;
}
