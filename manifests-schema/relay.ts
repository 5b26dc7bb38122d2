/** relay.yaml: the settings of `fairlead fleet relay`, one process for a whole fleet. */
import { z } from 'zod';
import { agentConfig } from './agent-config.ts';
import { isHostName } from './host-name.ts';
import { fleetDestination } from './notify.ts';
import { encryptedScheme, isReadable, readable } from './plain-credentials.ts';

export const FORGES = ['github', 'gitlab', 'gitea', 'bitbucket'] as const;
export type Forge = (typeof FORGES)[number];

const file = z.string().startsWith('/', 'must be an absolute path');
/** `group/sub/name`: GitLab nests groups. */
const repository = z
  .string()
  .regex(/^[\w.~-]+(\/[\w.~-]+)+$/, 'must be the path of the repository such as acme/fleet')
  .describe('path of the fleet repository at the forge, such as acme/fleet');

export const STATUS_FORGES = ['github', 'gitlab', 'gitea'] as const;

const statusSettings = z
  .strictObject({
    forge: z.enum(STATUS_FORGES).describe('destinations of messages'),
    repository,
    url: z
      .string()
      .optional()
      .describe('URL of the server, such as https://git.example.com; default: github.com or gitlab.com'),
    tokenFile: file.describe('a file with the access token, read at each request'),
    environment: z
      .string()
      .regex(/^[\w./ -]{1,255}$/, 'must be the name of an environment such as production')
      .optional()
      .describe('github, gitlab: also create a deployment to this environment for each commit'),
    link: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe('target of the link in a status, such as the dashboard'),
    ca: file.optional().describe('PEM file of the CA of the server'),
    insecure: z.boolean().optional().describe('true: allow the token over an unencrypted connection'),
  })
  .superRefine(({ forge, repository, url, environment, insecure = false }, context) => {
    const complain = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
    if (forge === 'gitea' && url === undefined) complain('url', 'is missing, which gitea needs');
    if (forge === 'gitea' && environment !== undefined) complain('environment', 'has no effect for gitea');
    if (forge !== 'gitlab' && repository.split('/').length !== 2)
      complain('repository', `must be an owner and a name such as acme/fleet for ${forge}`);
    const complaint = url === undefined ? null : serverComplaint(url, { insecure });
    if (complaint !== null) complain('url', complaint);
  });
export type StatusSettings = z.infer<typeof statusSettings>;

/** Why a URL cannot be that of a forge; null if it can. */
function serverComplaint(url: string, { insecure }: { insecure: boolean }): string | null {
  const parsed = URL.parse(url);
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) return 'must begin with https://';
  if (parsed.username !== '' || parsed.password !== '') return 'must not carry a user or a password; see `tokenFile`';
  if (parsed.search !== '' || parsed.hash !== '') return 'must end with the path of the server';
  return !insecure && isReadable(url) ? readable('the token', 'https') : null;
}

const { url, username, passwordFile, ca, cert, key, prefix, insecure } = agentConfig.shape.mqtt.unwrap().shape;

export const relaySettings = z
  .strictObject({
    fleet: agentConfig.shape.fleet,
    mqtt: z
      .strictObject({ url, username, passwordFile, ca, cert, key, prefix, insecure })
      .superRefine((value, context) => {
        if ((value.cert === undefined) !== (value.key === undefined)) {
          const [has, lacks] = value.cert === undefined ? ['key', 'cert'] : ['cert', 'key'];
          context.addIssue({ code: 'custom', path: [has], message: `has no effect without \`${lacks}\`` });
        }
        if (value.passwordFile === undefined || value.insecure || !isReadable(value.url)) return;
        const message = readable('a password', encryptedScheme(value.url));
        context.addIssue({ code: 'custom', path: ['url'], message });
      })
      .describe('the broker of the fleet'),
    hosts: z
      .strictObject({
        names: z
          .array(z.string().refine(isHostName, 'must be the name of a host'))
          .min(1)
          .optional()
          .describe('the names of the hosts'),
        file: file.optional().describe('a file with one name a line'),
        repo: file.optional().describe('a directory with the fleet repository'),
      })
      .refine((value) => Object.values(value).filter((one) => one !== undefined).length === 1, {
        message: 'takes one of `names`, `file` and `repo`',
      })
      .optional()
      .describe(
        'names of hosts in place of the index on the broker, for one that gives no retained messages to wildcards',
      ),
    state: file
      .default('/var/lib/fairlead-relay')
      .describe('directory for the record of what was sent; default /var/lib/fairlead-relay'),
    notify: z.array(fleetDestination).max(20).default([]).describe('destinations of messages about hosts'),
    statuses: z.array(statusSettings).max(20).default([]).describe('forges that get the progress of each commit'),
    webhooks: z
      .strictObject({
        listen: z
          .string()
          .regex(/^(\[[0-9A-Fa-f:]+\]|[\w.-]+):\d{1,5}$/, 'must be an address and a port such as 127.0.0.1:8787')
          .default('127.0.0.1:8787')
          .describe('address and port; put a web server with TLS in front'),
        from: z
          .array(
            z.strictObject({
              forge: z.enum(FORGES).describe('the forge that sends the webhooks'),
              path: z
                .string()
                .regex(/^\/[\w./-]*$/, 'must be a path such as /github')
                .optional()
                .describe('path of the URL that the forge calls; default: / and the name of the forge'),
              repository,
              secretFile: file.describe('file with the secret (GitLab: the secret token) of the webhook'),
            }),
          )
          .min(1)
          .max(20)
          .describe('forges whose webhooks are accepted'),
      })
      .optional()
      .describe('sends push notices to the hosts for webhooks of a forge'),
  })
  .superRefine(({ notify, statuses, webhooks, hosts }, context) => {
    if (hosts !== undefined && notify.length === 0 && statuses.length === 0)
      context.addIssue({ code: 'custom', path: ['hosts'], message: 'has no effect without `notify` or `statuses`' });
    if (notify.length === 0 && statuses.length === 0 && webhooks === undefined)
      context.addIssue({
        code: 'custom',
        path: [],
        message: 'has nothing to do: say `notify`, `statuses` or `webhooks`',
      });
    const places = statuses.map(({ forge, url = '', repository, environment = '' }) =>
      [forge, url, repository, environment].join(' '),
    );
    for (const [at, place] of places.entries())
      if (places.indexOf(place) < at)
        context.addIssue({ code: 'custom', path: ['statuses', at, 'repository'], message: 'stands here twice' });
    const paths = (webhooks?.from ?? []).map(pathOf);
    for (const [at, path] of paths.entries())
      if (paths.indexOf(path) < at)
        context.addIssue({
          code: 'custom',
          path: ['webhooks', 'from', at, 'path'],
          message: `is that of another one, too: ${path}`,
        });
  })
  .describe('The settings of a relay: /etc/fairlead/relay.yaml');
export type RelaySettings = z.infer<typeof relaySettings>;
export type HookSettings = NonNullable<RelaySettings['webhooks']>['from'][number];

/** @returns the path of the URL that the forge calls */
export const pathOf = ({ path, forge }: { path?: string | undefined; forge: Forge }): string => path ?? `/${forge}`;
