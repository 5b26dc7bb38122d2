/**
 * Slack's incoming webhooks, and what takes the same: Mattermost, Rocket.Chat, Google Chat, Discord (`…/slack`).
 * https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
 */
import { type Build, clip, JSON_HEADERS, plain } from './request.ts';

/** Slack cuts longer texts. */
const MAX_LETTERS = 8_000;

export const slack: Build = ({ url, note }) => {
  const [title = '', ...lines] = plain(note, MAX_LETTERS).split('\n');
  const text = [`${note.isGood ? ':white_check_mark:' : ':warning:'} *${safe(title)}*`, ...lines.map(safe)].join('\n');
  return { method: 'POST', url, headers: JSON_HEADERS, body: JSON.stringify({ text: clip(text, 2 * MAX_LETTERS) }) };
};

/** Foreign text makes no link and calls nobody: `<!channel>`, and in Mattermost a mere `@channel`, would. */
const safe = (text: string): string =>
  text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll(/@(?=\w)/g, '@\u200b');
