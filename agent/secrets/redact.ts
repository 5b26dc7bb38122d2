/** Keeps known secrets out of every message that leaves the agent: what a validator, a unit or a server quotes may hold one. */

export interface Redactor {
  add(secret: string): void;
  text(text: string): string;
  /** The same for a text, or for plain data: in what is told to people, never in ids, places and codes, which programs go by. */
  deep<T>(value: T): T;
}

/** Shorter ones are part of ordinary words: masking them would garble everything and hide nothing. */
const MIN_LENGTH = 4;
/** A line of a longer secret (a key file) is one by itself. */
const MIN_LINE = 12;
const MASK = '(secret)';
/** Keys of what is free text, with all that is below them. */
const FREE_TEXT = ['message', 'from', 'to', 'detail', 'error', 'output', 'held', 'desired', 'actual'];
const MAX_DEPTH = 50;

export function createRedactor(): Redactor {
  const known = new Set<string>();
  let forms: string[] = [];
  const text = (given: string): string => {
    let out = given;
    for (const form of forms) if (out.includes(form)) out = out.replaceAll(form, MASK);
    return out;
  };
  const deep = (value: unknown, free: boolean, depth: number): unknown => {
    if (typeof value === 'string') return free ? text(value) : value;
    if (depth > MAX_DEPTH || typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
    if (Array.isArray(value)) return value.map((item) => deep(item, free, depth + 1));
    if (Object.getPrototypeOf(value) !== Object.prototype) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, deep(item, free || FREE_TEXT.includes(key), depth + 1)]),
    );
  };
  return {
    add(secret) {
      const lines = secret.split(/\r?\n/);
      const parts = [
        secret,
        secret.trim(),
        ...(lines.length > 1 ? lines.filter((l) => l.trim().length >= MIN_LINE) : []),
      ];
      const fresh = parts.map((p) => p.trim()).filter((p) => p.length >= MIN_LENGTH && !known.has(p));
      if (fresh.length === 0) return;
      for (const part of fresh) known.add(part);
      // Longest first, so that no part of a longer secret is left standing.
      forms = [...new Set([...known].flatMap(encodings))].sort((a, b) => b.length - a.length);
    },
    text,
    deep: <T>(value: T): T => (forms.length === 0 ? value : (deep(value, typeof value === 'string', 0) as T)),
  };
}

/** The ways in which programs quote a text. */
function encodings(secret: string): string[] {
  const bytes = Buffer.from(secret);
  const json = JSON.stringify(secret).slice(1, -1);
  const all = [
    secret,
    json,
    JSON.stringify(json).slice(1, -1),
    encodeURIComponent(secret),
    secret.replaceAll("'", "''"),
    secret.replaceAll("'", "'\\''"),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    ...[0, 1, 2].map((offset) => base64At(bytes, offset)),
  ];
  return [...new Set(all)].filter((form) => form.length >= MIN_LENGTH);
}

/** What of the secret shows in the Base64 of a text in which it begins at a place of this remainder by three. */
function base64At(bytes: Buffer, offset: number): string {
  const padded = Buffer.concat([Buffer.alloc(offset), bytes])
    .toString('base64')
    .replace(/=+$/, '');
  const from = Math.ceil((offset * 8) / 6);
  const to = Math.floor(((offset + bytes.length) * 8) / 6);
  const part = padded.slice(from, to);
  return part.length >= 8 ? part : '';
}
