import { createHash } from 'node:crypto';
import { withoutCredentials } from '../core/credentials/credentials.ts';
import { StoredFile } from '../core/payload/payload.ts';

/** Deeper than any spec or fact goes. */
const MAX_DEPTH = 12;

/** A spec or a fact as JSON for people: bytes become `(n bytes, sha256 …)`, the content of secrets `(secret)`, modes octal, credentials masked. */
export const printable = (value: unknown): unknown => printed(withoutCredentials(value), 0);

function printed(value: unknown, depth: number): unknown {
  if (depth > MAX_DEPTH) return '…';
  if (value instanceof Uint8Array)
    return `(${value.length} bytes, sha256 ${createHash('sha256').update(value).digest('hex').slice(0, 12)})`;
  if (value instanceof StoredFile) return `(${value.size} bytes, sha256 ${value.sha256.slice(0, 12)})`;
  if (Array.isArray(value)) return value.map((item) => printed(item, depth + 1));
  if (value === null || typeof value !== 'object') return value;
  const readable = (key: string, item: unknown) =>
    key === 'mode' && typeof item === 'number' ? `0${item.toString(8).padStart(3, '0')}` : printed(item, depth + 1);
  const secret = (value as { secret?: unknown }).secret === true;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      secret && ['content', 'dropins'].includes(key) ? '(secret)' : readable(key, item),
    ]),
  );
}
