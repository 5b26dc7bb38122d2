/** Decodes bytes strictly: parsed or templated text must be UTF-8, or is an error with its place. Pure. */
import type { Issue } from './types.ts';

/** Length of a UTF-8 sequence by its first byte (RFC 3629); 0 if the byte starts none. */
const lengthAt = (first: number): number =>
  first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;

/** Decodes UTF-8 without a byte order mark, like other programs. @throws NotText */
export function strictText(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new NotText(bytes);
  }
}

/** The place of the first byte that is not UTF-8. The message never quotes the text around it, which may be secret. */
export class NotText extends Error {
  /** Offset of the byte, from 0. */
  readonly offset: number;
  /** From 1. */
  readonly line: number;
  readonly column: number;
  constructor(bytes: Uint8Array) {
    const offset = firstWrong(bytes);
    const before = bytes.subarray(0, offset);
    const start = before.lastIndexOf(10) + 1;
    const wide = bytes[0] === 0xff || bytes[0] === 0xfe ? ', and it looks like UTF-16' : '';
    const byte = (bytes[offset] ?? 0).toString(16).padStart(2, '0').toUpperCase();
    super(`it is not UTF-8: byte 0x${byte} at offset ${offset}${wide}; save it as UTF-8`);
    this.offset = offset;
    this.line = before.reduce((lines, one) => (one === 10 ? lines + 1 : lines), 1);
    this.column = offset - start + 1;
  }
}

function firstWrong(bytes: Uint8Array): number {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  for (let at = 0; at < bytes.length; ) {
    const length = lengthAt(bytes[at] ?? 0);
    if (length === 0) return at;
    if (length > 1) {
      try {
        decoder.decode(bytes.subarray(at, at + length));
      } catch {
        return at;
      }
    }
    at += length;
  }
  return bytes.length;
}

/** @param file path in the repository, for the issue */
export function textOrIssue(
  file: string,
  bytes: Uint8Array,
): { text: string; issue: null } | { text: null; issue: Issue } {
  try {
    return { text: strictText(bytes), issue: null };
  } catch (thrown) {
    if (!(thrown instanceof NotText)) throw thrown;
    const { line, column, message } = thrown;
    return { text: null, issue: { file, line, column, key: '', severity: 'error', message: `${file}: ${message}` } };
  }
}
