/** Destinations of notifications: an entry of `notify:` in agent.yaml, and in the relay's settings. */
import { z } from 'zod';
import { isReadable, readable } from './plain-credentials.ts';

/** The occasions of a notification, in the order of the documentation. */
export const TROUBLES = ['failed', 'rolled-back', 'held', 'degraded', 'drift-storm', 'offline'] as const;
/** Trouble that a host can tell of itself: it cannot say that it is gone. */
export const OF_A_HOST = ['failed', 'rolled-back', 'held', 'degraded', 'drift-storm', 'recovered'] as const;
export const OF_A_FLEET = [...TROUBLES, 'recovered'] as const;
export type Trouble = (typeof TROUBLES)[number];
export type Occasion = (typeof OF_A_FLEET)[number];

export const FORMATS = ['slack', 'teams', 'matrix', 'ntfy', 'json', 'mail'] as const;
export type Format = (typeof FORMATS)[number];

const file = z.string().startsWith('/', 'must be an absolute path');
const address = z
  .string()
  .regex(/^[^\s<>,;"@]+@[^\s<>,;"@]+$/, 'must be a mail address such as ops@example.com, without a name before it');

/** Keys that some formats have and others do not: what is needed, and what may be said. */
const KEYS: Readonly<Record<Format, { needs: readonly string[]; may: readonly string[] }>> = {
  slack: { needs: [], may: [] },
  teams: { needs: [], may: [] },
  matrix: { needs: ['room', 'tokenFile'], may: [] },
  ntfy: { needs: [], may: ['tokenFile'] },
  json: { needs: [], may: ['tokenFile', 'signingKeyFile'] },
  mail: { needs: ['from', 'to'], may: ['username', 'passwordFile'] },
};
const OPTIONAL = ['room', 'tokenFile', 'signingKeyFile', 'from', 'to', 'username', 'passwordFile'] as const;

/** Says why a URL cannot be used; null if it can. The text never quotes the URL, which may contain a secret. Pure. */
export function urlComplaint(
  url: string,
  format: Format,
  { insecure = false }: { insecure?: boolean | undefined },
): string | null {
  const parsed = URL.parse(url);
  const wants = format === 'mail' ? 'smtps:// or smtp://' : 'https://';
  if (parsed === null || !(format === 'mail' ? /^smtps?:$/ : /^https?:$/).test(parsed.protocol))
    return `must begin with ${wants}`;
  if (parsed.hostname === '') return 'must name a server';
  if (parsed.username !== '' || parsed.password !== '')
    return 'must not carry a user or a password before the name of the server';
  if (format === 'ntfy' && !/^\/(?:[^/]+\/)*[-_A-Za-z0-9]{1,64}$/.test(parsed.pathname))
    return 'must end with the topic, such as https://ntfy.example.com/fleet';
  if (format === 'mail')
    return /^\/?$/.test(parsed.pathname) ? null : 'must have nothing behind the server and its port';
  return !insecure && isReadable(url) ? readable('messages and the secret that lets them in', 'https') : null;
}

const destination = <const Names extends readonly [Occasion, ...Occasion[]]>(occasions: Names) =>
  z
    .strictObject({
      format: z.enum(FORMATS).describe('format of the messages'),
      url: z
        .string()
        .optional()
        .describe('address of the destination; put a secret URL, such as that of Slack, into urlFile'),
      urlFile: file.optional().describe('a file with the URL, read for each message'),
      on: z
        .array(z.enum(occasions))
        .min(1)
        .default([...occasions])
        .describe('occasions of messages; default: all'),
      room: z
        .string()
        .regex(/^![^:\s]+(:\S+)?$/, "must be a room's id such as !abc:example.com (not its alias, which begins with #)")
        .optional()
        .describe('matrix: the id of the room'),
      tokenFile: file.optional().describe('matrix, ntfy, json: an access token'),
      signingKeyFile: file.optional().describe('json: file with a key that signs the messages (HMAC-SHA256)'),
      from: address.optional().describe('mail: the sender'),
      to: z.array(address).min(1).max(20).optional().describe('mail: the recipients'),
      username: z.string().min(1).optional().describe('mail: user name for the server'),
      passwordFile: file.optional().describe('mail: file with the password'),
      ca: file.optional().describe('PEM file of the CA of the destination'),
      insecure: z.boolean().optional().describe('true: allow unencrypted connections'),
    })
    .superRefine((value, context) => {
      const { format, url, urlFile, insecure } = value;
      const complain = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
      if (url === undefined && urlFile === undefined)
        complain('url', 'is missing: say `url`, or `urlFile` for one that is a secret');
      if (url !== undefined && urlFile !== undefined) complain('urlFile', 'has no effect beside `url`');
      const complaint = url === undefined ? null : urlComplaint(url, format, { insecure });
      if (complaint !== null) complain('url', complaint);
      const { needs, may } = KEYS[format];
      for (const key of needs)
        if (value[key as (typeof OPTIONAL)[number]] === undefined) complain(key, `is missing, which ${format} needs`);
      for (const key of OPTIONAL)
        if (value[key] !== undefined && !needs.includes(key) && !may.includes(key))
          complain(key, `has no effect for ${format}`);
      if ((value.username === undefined) !== (value.passwordFile === undefined))
        complain(
          value.username === undefined ? 'passwordFile' : 'username',
          `has no effect without \`${value.username === undefined ? 'username' : 'passwordFile'}\``,
        );
    });

export const hostDestination = destination(OF_A_HOST);
export const fleetDestination = destination(OF_A_FLEET);
export type Destination = z.infer<typeof fleetDestination>;
