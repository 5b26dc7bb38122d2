/**
 * Matrix: a message in a room. The id of the message is the id of the transaction, so that one that is sent again is shown once.
 * https://spec.matrix.org/v1.13/client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid
 */
import { type Build, JSON_HEADERS, plain } from './request.ts';

/** An event has at most 65,536 bytes, in which the text stands twice. */
const MAX_LETTERS = 6_000;

export const matrix: Build = ({ url, note, parcel, room = '', token = '' }) => {
  const body = plain(note, MAX_LETTERS);
  const [title = '', ...lines] = body.split('\n').map(escaped);
  const content = {
    msgtype: 'm.text',
    body,
    format: 'org.matrix.custom.html',
    formatted_body: [`<strong>${title}</strong>`, ...lines].join('<br>'),
    // Foreign text calls nobody.
    'm.mentions': {},
  };
  const path = ['rooms', room, 'send', 'm.room.message', parcel.id].map(encodeURIComponent).join('/');
  return {
    method: 'PUT',
    url: `${url.replace(/\/+$/, '')}/_matrix/client/v3/${path}`,
    headers: { ...JSON_HEADERS, authorization: `Bearer ${token}` },
    body: JSON.stringify(content),
  };
};

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
