/** Searches for secrets where none may be, in every encoding that programs use. Independent of the agent's redactor. */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

/** Name of the encoding → the bytes to search for. */
export function formsOf(secret: string): Map<string, string> {
  const bytes = Buffer.from(secret);
  const shell = secret.replace(/[^A-Za-z0-9_@%+=:,./-]/g, '\\$&');
  const forms = new Map<string, string>([
    ['raw', secret],
    ['hex', bytes.toString('hex')],
    ['HEX', bytes.toString('hex').toUpperCase()],
    ['URL', encodeURIComponent(secret)],
    ['URL form', new URLSearchParams({ s: secret }).toString().slice(2)],
    ['JSON', JSON.stringify(secret).slice(1, -1)],
    ['JSON twice', JSON.stringify(JSON.stringify(secret)).slice(3, -3)],
    ['YAML', secret.replaceAll("'", "''")],
    ['shell, quoted', secret.replaceAll("'", "'\\''")],
    ['shell, escaped', shell],
    ['plain SHA-256', createHash('sha256').update(secret).digest('hex').slice(0, 12)],
  ]);
  for (const offset of [0, 1, 2]) {
    const whole = Buffer.concat([Buffer.alloc(offset), bytes, Buffer.alloc(3)]).toString('base64');
    // Only characters that do not depend on neighbouring bytes.
    const inner = whole.slice(Math.ceil((offset * 4) / 3), Math.floor(((offset + bytes.length) * 4) / 3));
    forms.set(`Base64 at ${offset}`, inner);
    forms.set(`Base64url at ${offset}`, inner.replaceAll('+', '-').replaceAll('/', '_'));
  }
  return forms;
}

/** Each finding as `where: encoding`. */
export function leaksIn(where: string, content: Buffer | string, secrets: readonly string[]): string[] {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  return secrets.flatMap((secret) =>
    [...formsOf(secret)].filter(([, form]) => bytes.includes(form)).map(([form]) => `${where}: ${form} of ${secret}`),
  );
}

/** Every file below `dir`, except those whose path matches `except`. */
export function leaksBelow(dir: string, secrets: readonly string[], except: RegExp): string[] {
  return fs
    .readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter((file) => !except.test(file))
    .flatMap((file) => leaksIn(file, fs.readFileSync(file), secrets));
}
