/** The HTTP request for a destination. Pure. */
import type { Note, Parcel } from '../model/text.ts';

export interface Outgoing {
  method: 'GET' | 'POST' | 'PUT';
  url: string;
  headers: Readonly<Record<string, string>>;
  /** Empty: none. */
  body: string;
}

export interface Draft {
  note: Note;
  parcel: Parcel;
  /** The URL of the destination, as configured. */
  url: string;
  /** An access token, where one is configured. */
  token?: string | undefined;
  /** A key that messages are signed with. */
  signingKey?: string | undefined;
  /** HMAC-SHA256, in hexadecimal. */
  hmac(key: string, text: string): string;
  /** matrix: the room. */
  room?: string | undefined;
}

export type Build = (draft: Draft) => Outgoing;

export const JSON_HEADERS = { 'content-type': 'application/json' };

/** Text of the note as plain lines. */
export const plain = ({ title, lines }: Note, mostLetters: number): string =>
  clip([title, ...lines].join('\n'), mostLetters);

export const clip = (text: string, most: number): string =>
  text.length <= most ? text : `${text.slice(0, most - 1).toWellFormed()}…`;
