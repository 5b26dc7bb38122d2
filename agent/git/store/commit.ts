/** Commit and tag objects, read from their bytes. Pure. Source: git's Documentation/gitformat-signature. */
import { createHash } from 'node:crypto';
import { AgentError } from '../../errors.ts';
import { tame } from '../../tame.ts';

export interface Person {
  /** `Name <mail>` */
  who: string;
  /** Seconds since 1970. */
  at: number;
}

export interface Signature {
  format: 'ssh' | 'openpgp' | 'x509' | 'unknown';
  text: string;
  /** The signed payload: the object without its signature. */
  payload: Uint8Array;
}

export interface ParsedCommit {
  tree: string;
  parents: readonly string[];
  author: Person;
  committer: Person;
  subject: string;
  signature: Signature | null;
  /**
   * SHA-256 of the object without its signatures. Anyone who can encode the same signature differently can make a twin of a
   * signed commit, with another id and the same payload.
   */
  payload(): string;
}

export interface ParsedTag {
  object: string;
  type: string;
  /** The name that was signed. */
  name: string;
  tagger: Person | null;
  signature: Signature | null;
}

interface Header {
  key: string;
  value: string;
  /** Byte range in the object, the final newline included. */
  start: number;
  end: number;
}

/** @throws AgentError `InvalidRepository` if the bytes are no commit */
export function parseCommit(bytes: Uint8Array): ParsedCommit {
  const { headers, body } = split(bytes);
  const all = (key: string) => headers.filter((h) => h.key === key).map((h) => h.value);
  const tree = all('tree')[0] ?? '';
  const author = person(all('author')[0]);
  const committer = person(all('committer')[0]);
  const parents = all('parent');
  if (!isId(tree) || !parents.every(isId) || author === null || committer === null)
    throw invalid('there is a commit without a tree, an author or a committer');
  const message = Buffer.from(bytes.subarray(body)).toString('utf8');
  const unsigned = withoutSignatures(bytes, headers);
  const signature = commitSignature(headers, unsigned);
  const payload = () => createHash('sha256').update(unsigned).digest('hex');
  return { tree, parents, author, committer, subject: firstLine(message), signature, payload };
}

/** @throws AgentError `InvalidRepository` if the bytes are no tag */
export function parseTag(bytes: Uint8Array): ParsedTag {
  const { headers, body } = split(bytes);
  const value = (key: string) => headers.find((h) => h.key === key)?.value ?? '';
  if (!isId(value('object')) || value('tag') === '') throw invalid('there is a tag without an object or a name');
  return {
    object: value('object'),
    type: value('type'),
    name: value('tag'),
    tagger: person(value('tagger')),
    signature: tagSignature(bytes, body),
  };
}

function split(bytes: Uint8Array): { headers: Header[]; body: number } {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const headers: Header[] = [];
  let at = 0;
  while (at < buffer.length) {
    let end = buffer.indexOf(0x0a, at);
    if (end < 0) end = buffer.length;
    if (end === at) return { headers, body: at + 1 };
    const line = buffer.subarray(at, end).toString('utf8');
    const last = headers.at(-1);
    if (line.startsWith(' ') && last) {
      last.value += `\n${line.slice(1)}`;
      last.end = end + 1;
    } else {
      const space = line.indexOf(' ');
      headers.push({
        key: space < 0 ? line : line.slice(0, space),
        value: space < 0 ? '' : line.slice(space + 1),
        start: at,
        end: end + 1,
      });
    }
    at = end + 1;
  }
  return { headers, body: buffer.length };
}

const UNREADABLE: Signature = { format: 'unknown', text: '', payload: new Uint8Array() };

/**
 * All signature headers are left out of what is signed, so nothing may hide in them: more than one, or one of SHA-256 in a
 * repository with SHA-1 ids, is nobody's honest commit.
 */
function commitSignature(headers: readonly Header[], payload: Uint8Array): Signature | null {
  const signed = headers.filter(isSignature);
  const own = signed.find((h) => h.key === 'gpgsig');
  if (own === undefined) return null;
  if (signed.length > 1) return UNREADABLE;
  const text = `${own.value}\n`;
  const format = formatOf(text);
  return format === 'unknown' ? UNREADABLE : { format, text, payload };
}

const isSignature = ({ key }: Header): boolean => key === 'gpgsig' || key === 'gpgsig-sha256';

function withoutSignatures(bytes: Uint8Array, headers: readonly Header[]): Uint8Array {
  const kept: Uint8Array[] = [];
  let at = 0;
  for (const { start, end } of headers.filter(isSignature)) {
    kept.push(bytes.subarray(at, start));
    at = end;
  }
  return Buffer.concat([...kept, bytes.subarray(at)]);
}

/** A tag's signature is the end of its message. */
function tagSignature(bytes: Uint8Array, body: number): Signature | null {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const starts = ['SSH SIGNATURE', 'PGP SIGNATURE', 'PGP MESSAGE', 'SIGNED MESSAGE']
    .map((kind) => lastAtLineStart(buffer, `-----BEGIN ${kind}-----`, body))
    .filter((at) => at >= 0);
  if (starts.length === 0) return null;
  const at = Math.max(...starts);
  const text = buffer.subarray(at).toString('utf8');
  return { format: formatOf(text), text, payload: buffer.subarray(0, at) };
}

function lastAtLineStart(buffer: Buffer, text: string, from: number): number {
  for (let at = buffer.lastIndexOf(text); at >= from; at = at > 0 ? buffer.lastIndexOf(text, at - 1) : -1)
    if (buffer[at - 1] === 0x0a) return at;
  return -1;
}

function formatOf(text: string): Signature['format'] {
  if (text.startsWith('-----BEGIN SSH SIGNATURE-----')) return isArmor(text) ? 'ssh' : 'unknown';
  if (/^-----BEGIN PGP (SIGNATURE|MESSAGE)-----/.test(text)) return 'openpgp';
  return text.startsWith('-----BEGIN SIGNED MESSAGE-----') ? 'x509' : 'unknown';
}

/** OpenSSH writes base64 in lines of 70 (sshsig.c). Any other form would make a twin of the signed object. */
function isArmor(text: string): boolean {
  const body = /^-----BEGIN SSH SIGNATURE-----\n((?:[^\n]{1,70}\n)+)-----END SSH SIGNATURE-----\n$/.exec(text)?.[1];
  if (body === undefined) return false;
  const base64 = Buffer.from(body, 'base64').toString('base64');
  return body === `${base64.match(/.{1,70}/g)?.join('\n')}\n`;
}

/** `Name <mail> 1700000000 +0100` */
function person(text: string | undefined): Person | null {
  const match = /^(.*>) (-?\d+)(?: [+-]\d+)?$/.exec(text ?? '');
  if (!match?.[1]) return null;
  return { who: plain(match[1]), at: Number(match[2]) };
}

/** Text that a person wrote must not steer a terminal. */
const plain = (text: string) => tame(text).slice(0, 300);
const firstLine = (message: string) => plain(message.trimStart().split('\n', 1)[0] ?? '');
const isId = (text: string) => /^[0-9a-f]{40}$/.test(text);

/** ISO 8601, UTC; a date that no calendar has is shown as the beginning of time. */
export function isoTime(seconds: number): string {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? new Date(0).toISOString() : date.toISOString();
}

const invalid = (why: string) =>
  new AgentError({ code: 'InvalidRepository', phase: 'fetch', message: `the repository is damaged: ${why}` });
