/** Small readers of Compose's short forms. Pure. */
import type { MountSpec, PortSpec } from './model.ts';

/** `1h30m`, `10s`, `100ms` → nanoseconds, null where it is none. Compose Specification, "Specifying durations". */
export function nanoseconds(text: string): number | null {
  if (!/^(\d+(\.\d+)?(us|ms|s|m|h))+$/.test(text)) return null;
  const unit: Record<string, number> = { us: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 };
  return [...text.matchAll(/(\d+(?:\.\d+)?)(us|ms|s|m|h)/g)].reduce(
    (sum, m) => sum + Number(m[1]) * (unit[m[2] ?? ''] ?? 0),
    0,
  );
}

/** `512m`, `1gb`, 1024 → bytes, null where it is none. "Specifying byte values". */
export function bytes(value: string | number): number | null {
  const match = /^(\d+(?:\.\d+)?)\s*(b|k|kb|m|mb|g|gb)?$/i.exec(String(value));
  if (!match) return null;
  const unit: Record<string, number> = { b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };
  return Math.floor(Number(match[1]) * (unit[(match[2] ?? 'b')[0]?.toLowerCase() ?? 'b'] ?? 1));
}

/** `[HOST:]PUBLISHED:TARGET[/PROTOCOL]`, ranges included; null where it is none. */
export function ports(value: string | number): PortSpec[] | null {
  const match = /^(?:(?:(\[[0-9a-fA-F:]+\]|[0-9.]+):)?(\d+(?:-\d+)?)?:)?(\d+(?:-\d+)?)(?:\/(tcp|udp|sctp))?$/.exec(
    String(value),
  );
  if (!match) return null;
  const [, hostIp = '', published = '', target = '', protocol = 'tcp'] = match;
  const targets = range(target);
  const outer = published === '' ? [] : range(published);
  if (targets.length === 0 || targets.some((p) => p < 1 || p > 65_535) || outer.some((p) => p < 0 || p > 65_535))
    return null;
  const single = targets.length === 1 && outer.length > 1;
  if (!single && outer.length > 0 && outer.length !== targets.length) return null;
  return targets.map((t, i) => ({
    target: t,
    protocol: protocol as PortSpec['protocol'],
    published: single ? published : String(outer[i] ?? ''),
    hostIp: hostIp.replace(/^\[|\]$/g, ''),
  }));
}

function range(text: string): number[] {
  const [first = 0, last = first] = text.split('-').map(Number);
  return last < first || last - first > 1_000 ? [] : Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

/** A short mount, source not yet resolved: `[SOURCE:]TARGET[:MODE]`. */
export function mount(text: string): (MountSpec & { relative: boolean }) | null {
  const parts = text.split(':');
  if (parts.length > 3 || parts.some((p) => p === '')) return null;
  if (parts.length === 1)
    return { type: 'volume', source: '', target: parts[0] ?? '', readOnly: false, relative: false };
  const [source = '', target = '', mode = ''] = parts;
  const isPath = /^[./~]/.test(source);
  return {
    type: isPath ? 'bind' : 'volume',
    source,
    target,
    readOnly: mode.split(',').includes('ro'),
    relative: isPath && !source.startsWith('/'),
  };
}

/** A command in string form, split as a shell splits words; null where a quote is not closed. */
export function words(text: string): string[] | null {
  const found: string[] = [];
  let word = '';
  let inWord = false;
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const char = text[i] ?? '';
    if (quote === "'" && char !== "'") word += char;
    else if (char === '\\' && (quote === '' || '"\\$`'.includes(text[i + 1] ?? ''))) {
      word += text[++i] ?? '';
      inWord = true;
    } else if (quote !== '' && char === quote) quote = '';
    else if (quote !== '') word += char;
    else if (char === '"' || char === "'") {
      quote = char;
      inWord = true;
    } else if (/\s/.test(char)) {
      if (inWord) found.push(word);
      word = '';
      inWord = false;
    } else {
      word += char;
      inWord = true;
    }
  }
  if (quote !== '') return null;
  if (inWord) found.push(word);
  return found;
}
