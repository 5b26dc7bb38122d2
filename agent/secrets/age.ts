/**
 * age files, through age-encryption. A file says for how many X25519 keys it is, not for which; `fairlead secret encrypt`
 * therefore notes the recipients in stanzas of their own (the header's MAC covers them, other programs skip them).
 */
import type { Recipient } from 'age-encryption';

/** Type of our stanza; its one argument is a recipient. */
const NOTE = 'fairlead.dev/recipient';
const BEGIN = '-----BEGIN AGE ENCRYPTED FILE-----';
/** Header lines looked at: a header has one stanza of two or three lines for each recipient. */
const MAX_HEADER_LINES = 20_000;

export interface AgeHeader {
  /** Recipients as noted by `fairlead secret encrypt`; empty where another program made the file. */
  noted: string[];
  /** Stanzas that one key each can open. */
  keys: number;
}

/** @throws Error with a sentence where the file is not an age file, or not for this identity */
export async function decryptAge(bytes: Uint8Array, secretKey: string): Promise<Uint8Array> {
  const { Decrypter } = await import('age-encryption');
  const decrypter = new Decrypter();
  decrypter.addIdentity(secretKey);
  const binary = await unarmor(bytes);
  try {
    return await decrypter.decrypt(binary);
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    if (/no identity matched/i.test(why)) throw new Error(await notForUs(secretKey));
    throw new Error(`it is damaged: ${why}`);
  }
}

/** The host may be a new machine of an old name, or have lost its key: what to write then is the same. */
async function notForUs(secretKey: string): Promise<string> {
  const { identityToRecipient } = await import('age-encryption');
  const recipient = await identityToRecipient(secretKey);
  return `it is not encrypted to this host (${recipient}); put that recipient into host.yaml (\`age:\`) and encrypt the file again: \`fairlead secret encrypt\``;
}

/** Armored (text that git can show), for all of `recipients`, which the header names. */
export async function encryptAge(bytes: Uint8Array, recipients: readonly string[]): Promise<string> {
  const { Encrypter, Stanza, armor } = await import('age-encryption');
  const encrypter = new Encrypter();
  for (const recipient of recipients) encrypter.addRecipient(recipient);
  const note: Recipient = { wrapFileKey: () => recipients.map((r) => new Stanza([NOTE, r], new Uint8Array())) };
  encrypter.addRecipient(note);
  return armor.encode(await encrypter.encrypt(bytes));
}

/** Reads who can decrypt a file without decrypting it. @throws Error if it is not an age file */
export async function readAgeHeader(bytes: Uint8Array): Promise<AgeHeader> {
  const text = new TextDecoder('latin1').decode((await unarmor(bytes)).subarray(0, 4 * 1024 * 1024));
  const lines = text.split('\n', MAX_HEADER_LINES);
  if (lines[0] !== 'age-encryption.org/v1') throw new Error('it is not an age file');
  const header: AgeHeader = { noted: [], keys: 0 };
  for (const line of lines.slice(1)) {
    if (line.startsWith('--- ')) return header;
    if (!line.startsWith('-> ')) continue;
    const [type, recipient] = line.slice(3).split(' ');
    if (type === NOTE && recipient) header.noted.push(recipient);
    else if (type === 'X25519') header.keys++;
  }
  throw new Error('its header has no end');
}

async function unarmor(bytes: Uint8Array): Promise<Uint8Array> {
  const head = new TextDecoder('latin1').decode(bytes.subarray(0, 64)).trimStart();
  if (!head.startsWith(BEGIN)) return bytes;
  const { armor } = await import('age-encryption');
  try {
    return armor.decode(new TextDecoder().decode(bytes));
  } catch (thrown) {
    throw new Error(`its armor is damaged: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
}
