/** The forms in which a secret may appear in a message: its parts, and the ways in which programs quote them. Pure. */
import { tame, tameLines } from '../tame.ts';

/** Shorter ones are part of ordinary words: masking them would garble everything and hide nothing. */
const MIN_LENGTH = 4;
/** A line of a longer secret (a key file) is one by itself. */
const MIN_LINE = 12;

/** The secret, and each long line of it. */
export function partsOf(secret: string): string[] {
  const lines = secret.split(/\r?\n/);
  const parts = [secret, ...(lines.length > 1 ? lines.filter((l) => l.trim().length >= MIN_LINE) : [])];
  return [...new Set(parts.map((p) => p.trim()).filter((p) => p.length >= MIN_LENGTH))];
}

/** The ways in which programs quote a text. */
export function encodings(secret: string): string[] {
  const bytes = Buffer.from(secret);
  const json = JSON.stringify(secret).slice(1, -1);
  const all = [
    secret,
    json,
    JSON.stringify(json).slice(1, -1),
    encodeURIComponent(secret.toWellFormed()),
    secret.replaceAll("'", "''"),
    secret.replaceAll("'", "'\\''"),
    // Errors are tamed before secrets are taken out of them.
    tame(secret),
    tameLines(secret),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    ...[0, 1, 2].map((offset) => base64At(bytes, offset)),
  ];
  return [...new Set(all)].filter((form) => form.length >= MIN_LENGTH);
}

/** The part of the secret that is visible in Base64 if the secret begins at an offset with this remainder modulo three. */
function base64At(bytes: Buffer, offset: number): string {
  const padded = Buffer.concat([Buffer.alloc(offset), bytes])
    .toString('base64')
    .replace(/=+$/, '');
  const from = Math.ceil((offset * 8) / 6);
  const to = Math.floor(((offset + bytes.length) * 8) / 6);
  const part = padded.slice(from, to);
  return part.length >= 8 ? part : '';
}

/** `KEY=value`, `export KEY="value"`, `- key: value`, `"key": "value",`; no two parts of it can match the same letter. */
const ASSIGNMENT = /^(?:- +)?(?:export +)?["']?[\w.-]+["']? *[=:] *([^ ].*)$/;
/** Values that are in every file, and are nobody's secret. */
const PLAIN = /^(?:true|false|null|none|yes|no|on|off|[|>][-+]?|[[{]+)$/i;
/** A line of settings is shorter. */
const MAX_LINE = 4_096;

/** The right sides of a file of settings: as they are written, without quotes and comments, and the password of a URL. */
export function valuesIn(text: string): string[] {
  const values = text.split('\n').flatMap((whole) => {
    if (whole.length > MAX_LINE) return [];
    const line = whole.replaceAll('\t', ' ').trim();
    const value = ASSIGNMENT.exec(line.endsWith(',') ? line.slice(0, -1).trimEnd() : line)?.[1];
    if (value === undefined || PLAIN.test(value)) return [];
    const bare = bareOf(value);
    return [value, bare, ...passwordIn(bare)];
  });
  return [...new Set(values)].filter((value) => value.length >= MIN_LENGTH);
}

/** Without its quotes, and without a comment behind it. */
function bareOf(value: string): string {
  const quote = /^["']/.exec(value)?.[0];
  const end = quote === undefined ? -1 : value.indexOf(quote, 1);
  if (end > 0) return value.slice(1, end);
  const comment = value.indexOf(' #');
  return comment < 0 ? value : value.slice(0, comment).trimEnd();
}

function passwordIn(text: string): string[] {
  const { password = '' } = URL.parse(text) ?? {};
  if (password === '') return [];
  try {
    return [password, decodeURIComponent(password)];
  } catch {
    return [password];
  }
}
