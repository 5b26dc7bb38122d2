/** ntfy, published as JSON, which takes any letters: https://docs.ntfy.sh/publish/#publish-as-json */
import { type Build, clip, JSON_HEADERS } from './request.ts';

/** A longer message (4,096 bytes) becomes an attachment. */
const MAX_BYTES = 3_900;

export const ntfy: Build = ({ url, note, token }) => {
  const at = new URL(url);
  const parts = at.pathname.split('/');
  const topic = parts.pop() ?? '';
  at.pathname = parts.join('/') || '/';
  const document = {
    topic,
    title: clip(note.title, 200),
    message: fitting(note.lines.join('\n') || note.title),
    tags: [note.isGood ? 'white_check_mark' : 'warning'],
    priority: note.isGood ? 3 : 4,
  };
  return {
    method: 'POST',
    url: at.href,
    headers: { ...JSON_HEADERS, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
    body: JSON.stringify(document),
  };
};

function fitting(text: string): string {
  let clipped = clip(text, MAX_BYTES);
  while (Buffer.byteLength(clipped) > MAX_BYTES) clipped = clip(clipped, Math.floor(clipped.length * 0.8));
  return clipped;
}
