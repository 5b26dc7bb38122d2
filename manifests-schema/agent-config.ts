/** agent.yaml: how the agent on a host finds its repository, its broker and its engine. */
import { z } from 'zod';
import { duration } from './duration.ts';
import { isReadable, readable } from './plain-credentials.ts';
import { vars } from './settings.ts';

const hostName = z
  .string()
  .regex(
    /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/,
    'must be a lower-case host name (RFC 1123)',
  );
/** By RFC 1123, in lower case. */
export const isHostName = (name: string): boolean => hostName.safeParse(name).success;
/** A certificate says nothing without its key, and a key nothing without its certificate. */
const isPair = ({ cert, key }: { cert?: string | undefined; key?: string | undefined }, context: z.RefinementCtx) => {
  if ((cert === undefined) === (key === undefined)) return;
  const [has, lacks] = cert === undefined ? ['key', 'cert'] : ['cert', 'key'];
  context.addIssue({ code: 'custom', path: [has], message: `has no effect without \`${lacks}\`` });
};
const file = z.string().startsWith('/', 'must be an absolute path');

export const agentConfig = z
  .strictObject({
    host: hostName.optional().describe("default: the machine's name, lower case, frozen at the first start"),
    fleet: z
      .string()
      .regex(/^[A-Za-z0-9._-]+$/, 'may have letters, digits, . _ - only')
      .default('default')
      .describe('name of the fleet, part of every topic'),
    labels: z.record(z.string(), z.string()).default({}).describe('usable as ${label.x} in path and ref'),
    repo: z
      .strictObject({
        url: z.string().min(1).describe('https, http, ssh or a path on this machine'),
        ref: z.string().min(1).default('main').describe('branch, tag, tag pattern such as v1.*, commit id, or HEAD'),
        path: z.string().default('hosts/${host}').describe("the host's directory in the repository"),
        auth: z
          .strictObject({
            username: z.string().optional().describe('for https'),
            passwordFile: file.optional().describe('its password'),
            tokenFile: file.optional().describe('an access token, sent as the password'),
            bearerFile: file.optional().describe('a token sent as `Authorization: Bearer`'),
            sshKeyFile: file.optional().describe('a deploy key'),
            knownHostsFile: file.optional().describe('the only host keys that count'),
          })
          .optional()
          .describe('credentials, read from files at each use'),
        ca: file.optional().describe('PEM file of a private CA'),
        cert: file.optional().describe('PEM file of a client certificate'),
        key: file.optional().describe('PEM file of its key'),
        verify: z
          .strictObject({
            allowedSigners: file.describe('who may sign, see ALLOWED SIGNERS in ssh-keygen(1)'),
            revoked: file.optional().describe('keys, or a key revocation list, that count no more'),
            mode: z.enum(['head', 'strict']).default('head').describe('strict: every commit must be signed'),
          })
          .optional()
          .describe('nothing is applied that these have not signed'),
        since: z
          .string()
          .regex(/^[0-9a-f]{40}$/, 'must be a full commit id')
          .optional()
          .describe('floor: nothing is applied that does not descend from this commit'),
        staleAfter: duration.optional().describe('a head that is older raises a problem'),
        insecure: z.boolean().optional().describe('a password or token may go over plain http'),
      })
      .superRefine(isPair)
      .superRefine(({ url, auth, insecure }, context) => {
        if (auth?.username !== undefined && auth.passwordFile === undefined && auth.tokenFile === undefined)
          context.addIssue({
            code: 'custom',
            path: ['auth', 'username'],
            message: 'has no effect without `passwordFile` or `tokenFile`',
          });
        const secret = auth?.passwordFile ?? auth?.tokenFile ?? auth?.bearerFile;
        if (secret === undefined || insecure || !isReadable(url)) return;
        context.addIssue({ code: 'custom', path: ['url'], message: readable('a password or token', 'https') });
      }),
    sync: z
      .strictObject({
        schedule: z.string().default('* * * * *').describe('cron expression (node-cron)'),
        splay: duration.default('60s').describe('each host has a stable place within it'),
      })
      .prefault({}),
    mqtt: z
      .strictObject({
        url: z
          .string()
          .regex(/^mqtts?:\/\//, 'must begin with mqtt:// or mqtts://')
          .regex(
            /^[^@]*$/,
            'must not carry a user or a password: it is shown in logs and status; use username and passwordFile',
          )
          .describe('mqtt:// or mqtts://'),
        username: z.string().optional().describe('for the broker'),
        passwordFile: file.optional().describe('its password'),
        ca: file.optional().describe('PEM file of the CA of the broker'),
        cert: file.optional().describe('PEM file of a client certificate'),
        key: file.optional().describe('PEM file of its key'),
        prefix: z.string().default('fairlead').describe('first part of every topic'),
        insecure: z.boolean().optional().describe('a password may go over plain mqtt'),
      })
      .superRefine(isPair)
      .superRefine(({ url, passwordFile, insecure }, context) => {
        if (passwordFile === undefined || insecure || !isReadable(url)) return;
        context.addIssue({ code: 'custom', path: ['url'], message: readable('a password', 'mqtts') });
      })
      .optional()
      .describe('the broker; may be left out'),
    docker: z
      .strictObject({
        socket: file.default('/var/run/docker.sock').describe('of the engine'),
        registries: z
          .record(
            z
              .string()
              .regex(
                /^(https:\/\/index\.docker\.io\/v1\/|[A-Za-z0-9.-]+(:\d+)?(\/[a-z0-9._-]+)*)$/,
                'must be a registry as images name it, such as registry.example.com:5000, registry.gitlab.com/acme/shop, or docker.io',
              ),
            z.strictObject({
              username: z.string().min(1).describe('for this registry'),
              passwordFile: file.describe('its password, or an access token; read at each pull'),
            }),
          )
          .default({})
          .describe("as whom images are pulled; for all other registries root's ~/.docker/config.json counts"),
      })
      .prefault({}),
    history: z
      .strictObject({
        keep: z
          .string()
          .regex(/^\d+d$/, 'must be days such as 90d')
          .default('90d')
          .describe('how long runs are kept'),
        maxSize: z
          .string()
          .regex(/^[1-9]\d*(MB|GB)$/, 'must be a size such as 256MB or 1GB')
          .default('256MB')
          .describe('beyond it the oldest runs go, whatever their age'),
      })
      .prefault({}),
    vars: vars.default({}).describe('variables of this host alone; they stand above those of the repository'),
    varsFile: file.optional().describe('YAML or JSON file with more of them; `vars` stands above it'),
  })
  .describe('The configuration of the agent on one host: /etc/fairlead/agent.yaml');
export type AgentConfigFile = z.infer<typeof agentConfig>;
