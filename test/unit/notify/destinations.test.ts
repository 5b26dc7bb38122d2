/** What destinations receive, in words and in their formats. */
import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { BUILDERS } from '../../../agent/notify/destinations/index.ts';
import type { Draft } from '../../../agent/notify/destinations/request.ts';
import type { Message } from '../../../agent/notify/model/memory.ts';
import { sightOf } from '../../../agent/notify/model/sight.ts';
import { noteOf, type Parcel } from '../../../agent/notify/model/text.ts';
import { notificationDocument } from '../../../manifests-schema/notification.ts';
import { problem, statusWith } from './status.ts';

const AT = '2026-11-24T08:00:00.000Z';

const messageOf = (status: Parameters<typeof sightOf>[0], more: Partial<Message> = {}): Message => {
  const sight = sightOf(status);
  if (sight.trouble === null || sight.trouble === 'none') throw new Error('nothing is wrong with it');
  return {
    ...{ id: 'edge-1-x-1', at: AT, occasion: sight.trouble, hosts: [sight.host], hostsTotal: 1 },
    ...{ brief: sight.brief, example: sight.host },
    ...more,
  };
};
const parcelOf = (messages: Message[], more: Partial<Parcel> = {}): Parcel => ({
  ...{ id: 'edge-1-x-1', fleet: 'shop', messages, dropped: 0, now: new Date(AT) },
  ...more,
});
const draftOf = (parcel: Parcel, more: Partial<Draft> = {}): Draft => ({
  ...{ parcel, note: noteOf(parcel), url: 'https://chat.example.com/hooks/s3cret' },
  hmac: (key, text) => createHmac('sha256', key).update(text).digest('hex'),
  ...more,
});

const broken = statusWith({
  sync: 'rolled-back',
  reason: 'UnitFailed',
  message: 'commit aaaaaaa did not settle (unit:app.service: it failed); this host was rolled back to bbbbbbb',
  problems: [problem('unit:app.service', 'UnitFailed', 'it failed')],
});
const recovered: Message = {
  ...{ id: 'edge-1-x-2', at: AT, occasion: 'recovered', hosts: ['edge-1'], hostsTotal: 1, brief: null, example: '' },
};

describe('the text', () => {
  test('has host, commit, reason, remedy and time', () => {
    const { title, lines } = noteOf(parcelOf([messageOf(broken)]));
    expect(title).toBe('edge-1: commit aaaaaaa did not settle and was rolled back');
    expect(lines).toEqual([
      'Commit: aaaaaaa "shop: a new front" by Ada <ada@example.com>',
      'Why: commit aaaaaaa did not settle (unit:app.service: it failed); this host was rolled back to bbbbbbb',
      'What to do: fix it by another commit; the host runs what it ran before.',
      'Fleet shop, 2026-11-24 08:00 UTC',
    ]);
  });

  test('for many hosts names some, and one as an example', () => {
    const hosts = Array.from({ length: 20 }, (_, i) => `edge-${i}`);
    const { title, lines } = noteOf(
      parcelOf([
        messageOf(
          statusWith({
            sync: 'failed',
            reason: 'PortInUse',
            problems: [problem('service:shop/web', 'PortInUse', 'port 80 is taken')],
          }),
          { hosts, hostsTotal: 500, example: 'edge-7' },
        ),
      ]),
    );
    expect(title).toBe('500 hosts: sync failed (PortInUse)');
    expect(lines).toContain('Hosts: edge-0, edge-1, edge-2, edge-3, edge-4 and 495 more');
    expect(lines).toContain('Why on edge-7: service:shop/web: port 80 is taken');
    expect(lines).toContain('What to do: see to it on one of them: `fairlead status` says what is needed.');
  });

  test('of a message that waited for days has the time of its event', () => {
    const { lines } = noteOf(parcelOf([messageOf(broken)], { now: new Date('2026-11-26T08:00:00Z') }));
    expect(lines.at(-1)).toBe('Fleet shop, 2026-11-24 08:00 UTC; this comes late, since it could not be sent before');
  });

  test('of many messages is one text, with a line each and the number of dropped ones', () => {
    const { title, lines } = noteOf(parcelOf([messageOf(broken), recovered, recovered], { dropped: 2 }));
    expect(title).toBe('3 messages about fleet shop');
    expect(lines).toEqual([
      '2026-11-24 08:00 UTC: edge-1: commit aaaaaaa did not settle and was rolled back (unit:app.service: UnitFailed)',
      '2026-11-24 08:00 UTC: edge-1 is well again',
      '2026-11-24 08:00 UTC: edge-1 is well again',
      '2 earlier messages could not be sent in time and were dropped.',
      'What to do: `fairlead fleet status` shows all hosts, those that need somebody on top.',
    ]);
  });

  test('every kind of trouble has a title and a remedy', () => {
    const of = (given: Parameters<typeof statusWith>[0]) => noteOf(parcelOf([messageOf(statusWith(given))]));
    const notes = [
      of({ sync: 'failed', reason: 'InvalidManifest', problems: [problem('commit', 'InvalidManifest')] }),
      of({
        sync: 'failed',
        reason: 'RepositoryUnreachable',
        problems: [problem('repository', 'RepositoryUnreachable')],
      }),
      of({ sync: 'held', reason: 'PruneLimit', gate: { kind: 'prune', reason: 'x', until: null } }),
      of({ health: 'degraded', problems: [problem('service:shop/web', 'Unhealthy')] }),
      of({ problems: [problem('file:/etc/motd', 'Contended')] }),
    ];
    expect(notes.map(({ title }) => title)).toEqual([
      'edge-1: commit aaaaaaa failed',
      'edge-1: sync failed (RepositoryUnreachable)',
      'edge-1: commit aaaaaaa is held (PruneLimit)',
      'edge-1 is not healthy: service:shop/web',
      'edge-1: file:/etc/motd keeps drifting',
    ]);
    for (const { lines } of notes) expect(lines.some((line) => line.startsWith('What to do: '))).toBe(true);
  });
});

describe('formats', () => {
  const nasty = parcelOf([
    messageOf(
      statusWith({
        sync: 'failed',
        reason: 'ApplyFailed',
        problems: [problem('unit:<!channel>', 'ApplyFailed', '@channel <b>[x](http://evil.example)</b> & "more"')],
      }),
    ),
  ]);
  const bodyOf = (text: string): Record<string, unknown> => JSON.parse(text);

  test('slack: foreign text can neither mention people nor become a link', () => {
    const { url, method, body } = BUILDERS.slack(draftOf(nasty));
    expect({ url, method }).toEqual({ url: 'https://chat.example.com/hooks/s3cret', method: 'POST' });
    const { text } = bodyOf(body) as { text: string };
    expect(text.split('\n')[0]).toBe(':warning: *edge-1: commit aaaaaaa failed*');
    expect(text).not.toMatch(/<|@channel/);
    expect(Object.keys(bodyOf(body))).toEqual(['text']);
  });

  test('teams: an adaptive card of text runs, below 28 KB however long the texts are', () => {
    const long = problem('unit:x', 'UnitFailed', 'ü'.repeat(10_000));
    const parcel = parcelOf(
      Array.from({ length: 40 }, () =>
        messageOf(statusWith({ sync: 'failed', reason: 'UnitFailed', problems: [long, long, long] })),
      ),
    );
    const { body } = BUILDERS.teams(draftOf(parcel));
    expect(Buffer.byteLength(body)).toBeLessThan(28 * 1024);
    const { type, attachments } = bodyOf(BUILDERS.teams(draftOf(nasty)).body) as {
      type: string;
      attachments: { contentType: string; content: { type: string; body: { type: string }[] } }[];
    };
    expect(type).toBe('message');
    expect(attachments[0]?.contentType).toBe('application/vnd.microsoft.card.adaptive');
    expect(attachments[0]?.content.type).toBe('AdaptiveCard');
    expect(new Set(attachments[0]?.content.body.map((block) => block.type))).toEqual(new Set(['RichTextBlock']));
  });

  test('matrix: one transaction for each message, with escaped HTML', () => {
    const { url, method, headers, body } = BUILDERS.matrix(
      draftOf(nasty, { url: 'https://matrix.example.com/', room: '!abc:example.com', token: 'syt_x' }),
    );
    expect(method).toBe('PUT');
    expect(url).toBe(
      'https://matrix.example.com/_matrix/client/v3/rooms/!abc%3Aexample.com/send/m.room.message/edge-1-x-1',
    );
    expect(headers.authorization).toBe('Bearer syt_x');
    const content = bodyOf(body) as { formatted_body: string; msgtype: string; 'm.mentions': object };
    expect(content.msgtype).toBe('m.text');
    expect(content['m.mentions']).toEqual({});
    expect(content.formatted_body).not.toMatch(/<(?!\/?strong>|br>)/);
  });

  test('ntfy: JSON to the server, with the topic of the URL, within 4,096 bytes', () => {
    const long = parcelOf([
      messageOf(
        statusWith({
          sync: 'failed',
          reason: 'X',
          problems: Array.from({ length: 20 }, (_, i) => problem(`unit:${i}`, 'X', '€'.repeat(2_000))),
        }),
      ),
    ]);
    const { url, headers, body } = BUILDERS.ntfy(
      draftOf(long, { url: 'https://ntfy.example.com/push/fleet-x', token: 'tk_1' }),
    );
    expect(url).toBe('https://ntfy.example.com/push');
    expect(headers.authorization).toBe('Bearer tk_1');
    const document = bodyOf(body) as { topic: string; message: string; priority: number };
    expect(document.topic).toBe('fleet-x');
    expect(Buffer.byteLength(document.message)).toBeLessThan(4_096);
  });

  test('json: the published document, signed with the key', () => {
    const { headers, body } = BUILDERS.json(
      draftOf(parcelOf([messageOf(broken), recovered]), { signingKey: 'k', token: 't' }),
    );
    expect(notificationDocument.safeParse(JSON.parse(body)).error).toBeUndefined();
    expect(headers['x-fairlead-signature-256']).toBe(`sha256=${createHmac('sha256', 'k').update(body).digest('hex')}`);
    expect(headers['idempotency-key']).toBe('edge-1-x-1');
  });
});
