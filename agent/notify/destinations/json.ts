/** One JSON document for programs: `notification` of the published schemas. */
import type { NotificationDocument } from '../../../manifests-schema/notification.ts';
import { titleOf } from '../model/text.ts';
import { type Build, JSON_HEADERS, plain } from './request.ts';

const MAX_LETTERS = 8_000;

export const json: Build = ({ url, note, parcel, token, signingKey, hmac }) => {
  const document: NotificationDocument = {
    schema: 1,
    id: parcel.id,
    fleet: parcel.fleet,
    at: parcel.now.toISOString(),
    title: note.title,
    text: plain(note, MAX_LETTERS),
    dropped: parcel.dropped,
    messages: parcel.messages.map((message) => ({
      id: message.id,
      at: message.at,
      occasion: message.occasion,
      title: titleOf(message),
      hosts: [...message.hosts],
      hostsTotal: message.hostsTotal,
      commit: message.brief?.commit ?? null,
      subject: message.brief?.subject ?? '',
      author: message.brief?.author ?? '',
      reason: message.brief?.reason ?? '',
      message: message.brief?.message ?? '',
      turn: message.brief?.turn ?? null,
      problems: (message.brief?.problems ?? []).map((problem) => ({ ...problem })),
    })),
  };
  const body = JSON.stringify(document);
  return {
    method: 'POST',
    url,
    headers: {
      ...JSON_HEADERS,
      'idempotency-key': parcel.id,
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(signingKey === undefined ? {} : { 'x-fairlead-signature-256': `sha256=${hmac(signingKey, body)}` }),
    },
    body,
  };
};
