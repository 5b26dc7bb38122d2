/**
 * Microsoft Teams: an Adaptive Card for a webhook of Workflows ("Post to a channel when a webhook request is received").
 * https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using#send-adaptive-cards-using-an-incoming-webhook
 */
import { type Build, clip, JSON_HEADERS } from './request.ts';

/** A message has at most 28 KB. */
const MAX_LETTERS = 500;
const MAX_LINES = 30;

export const teams: Build = ({ url, note }) => {
  // Runs of text, since a TextBlock takes foreign text for Markdown.
  const run = (text: string, more: object = {}) => ({
    type: 'RichTextBlock',
    inlines: [{ type: 'TextRun', text: clip(text, MAX_LETTERS), ...more }],
  });
  const body = [
    run(note.title, { weight: 'Bolder', size: 'Medium', color: note.isGood ? 'Good' : 'Attention' }),
    ...note.lines.slice(0, MAX_LINES).map((line) => run(line)),
  ];
  const content = {
    $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
    type: 'AdaptiveCard',
    version: '1.4',
    body,
  };
  const attachment = { contentType: 'application/vnd.microsoft.card.adaptive', contentUrl: null, content };
  return {
    method: 'POST',
    url,
    headers: JSON_HEADERS,
    body: JSON.stringify({ type: 'message', attachments: [attachment] }),
  };
};
