/** agent.yaml: how the agent on a host finds its repository, its broker and its engine. */
import { z } from 'zod';
import { COMMANDS } from './command-names.ts';
import { duration } from './duration.ts';
import { HOST_NAME } from './host-name.ts';
import { hostDestination } from './notify.ts';
import { BROKER_SCHEMES, BROKER_URL, encryptedScheme, isReadable, readable } from './plain-credentials.ts';
import { vars } from './settings.ts';

const hostName = z.string().regex(HOST_NAME, 'must be a lower-case host name (RFC 1123)');
/** A certificate says nothing without its key, and a key nothing without its certificate. */
const isPair = ({ cert, key }: { cert?: string | undefined; key?: string | undefined }, context: z.RefinementCtx) => {
  if ((cert === undefined) === (key === undefined)) return;
  const [has, lacks] = cert === undefined ? ['key', 'cert'] : ['cert', 'key'];
  context.addIssue({ code: 'custom', path: [has], message: `has no effect without \`${lacks}\`` });
};
const isPlainBroker = (url: string): boolean => /^(mqtt|ws):/.test(url);
const file = z.string().startsWith('/', 'must be an absolute path');

export const agentConfig = z
  .strictObject({
    host: hostName.optional().describe("default: the machine's name in lower case, fixed at the first start"),
    fleet: z
      .string()
      .regex(/^[A-Za-z0-9._-]+$/, 'may have letters, digits, . _ - only')
      .default('default')
      .describe('name of the fleet, part of every topic'),
    labels: z
      .record(z.string(), z.string())
      .default({})
      .describe('labels of the host; usable as ${label.x} in path and ref'),
    repo: z
      .strictObject({
        url: z.string().min(1).describe('https, http or ssh address, or a path on this machine'),
        ref: z.string().min(1).default('main').describe('branch, tag, tag pattern such as v1.*, commit id, or HEAD'),
        path: z.string().default('hosts/${host}').describe("the host's directory in the repository"),
        auth: z
          .strictObject({
            username: z.string().optional().describe('user name for https'),
            passwordFile: file.optional().describe('file with the password'),
            tokenFile: file.optional().describe('file with an access token, sent as the password'),
            bearerFile: file.optional().describe('file with a token, sent as `Authorization: Bearer`'),
            sshKeyFile: file.optional().describe('file with a deploy key'),
            knownHostsFile: file.optional().describe('file with the only host keys that are trusted'),
          })
          .optional()
          .describe('credentials, read from files at each use'),
        ca: file.optional().describe('PEM file of a private CA'),
        cert: file.optional().describe('PEM file of a client certificate'),
        key: file.optional().describe('PEM file of its key'),
        verify: z
          .strictObject({
            allowedSigners: file.describe('file with the allowed signers, see ALLOWED SIGNERS in ssh-keygen(1)'),
            revoked: file.optional().describe('file with revoked keys, or a key revocation list'),
            mode: z
              .enum(['head', 'strict'])
              .default('head')
              .describe('head (default): the head must be signed; strict: every new commit'),
          })
          .optional()
          .describe('only commits with a signature of these signers are applied'),
        since: z
          .string()
          .regex(/^[0-9a-f]{40}$/, 'must be a full commit id')
          .optional()
          .describe('floor: only descendants of this commit are applied'),
        staleAfter: duration.optional().describe('a head that is older than this is reported as a problem'),
        insecure: z.boolean().optional().describe('true: allow a password or token over plain http'),
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
        splay: duration.default('60s').describe('each host waits a fixed part of it after each scheduled time'),
      })
      .prefault({}),
    mqtt: z
      .strictObject({
        url: z
          .string()
          .regex(
            /^[^@]*$/,
            'must not carry a user or a password: it is shown in logs and status; use username and passwordFile',
          )
          .regex(BROKER_URL, `must begin with ${BROKER_SCHEMES}`)
          .describe(`${BROKER_SCHEMES} with its path`),
        username: z.string().optional().describe('user name for the broker'),
        passwordFile: file.optional().describe('file with the password'),
        ca: file.optional().describe('PEM file of the CA of the broker'),
        cert: file.optional().describe('PEM file of a client certificate'),
        key: file.optional().describe('PEM file of its key'),
        clientId: z
          .string()
          .regex(/^[!"$-*,-~]{1,128}$/, 'must be 1 to 128 printable characters without spaces, + and #')
          .optional()
          .describe(
            'MQTT client id, other for each host; may have ${host} and ${label.x}; default fairlead-<fleet>-<host>',
          ),
        prefix: z.string().default('fairlead').describe('first part of every topic'),
        homeAssistant: z
          .union([z.boolean(), z.string().regex(/^[^+#\s/]+(\/[^+#\s/]+)*$/)], {
            error:
              'must be true, false or the prefix of the topics that Home Assistant discovers, such as homeassistant',
          })
          .default(false)
          .describe('true, or the discovery prefix: show this host as a device in Home Assistant'),
        insecure: z.boolean().optional().describe('true: allow a password over an unencrypted connection'),
        commands: z
          .union([z.literal(false), z.array(z.enum(COMMANDS)).min(1)])
          .default(false)
          .describe(
            'commands over the broker that this host follows: sync, plan, pause, resume, rollback; default false: none',
          ),
      })
      .superRefine(isPair)
      .superRefine(({ url, passwordFile, insecure, ...tls }, context) => {
        for (const key of ['ca', 'cert'] as const)
          if (tls[key] !== undefined && isPlainBroker(url))
            context.addIssue({
              code: 'custom',
              path: [key],
              message: `has no effect over a connection without TLS; use ${encryptedScheme(url)}://`,
            });
        if (passwordFile === undefined || insecure || !isReadable(url)) return;
        context.addIssue({ code: 'custom', path: ['url'], message: readable('a password', encryptedScheme(url)) });
      })
      .optional()
      .describe('the broker; optional'),
    notify: z.array(hostDestination).max(20).default([]).describe('destinations of messages when something goes wrong'),
    docker: z
      .strictObject({
        socket: file.default('/var/run/docker.sock').describe('path of the Docker socket'),
        registries: z
          .record(
            z
              .string()
              .regex(
                /^(https:\/\/index\.docker\.io\/v1\/|[A-Za-z0-9.-]+(:\d+)?(\/[a-z0-9._-]+)*)$/,
                'must be a registry as images name it, such as registry.example.com:5000, registry.gitlab.com/acme/shop, or docker.io',
              ),
            z.strictObject({
              username: z.string().min(1).describe('user name for this registry'),
              passwordFile: file.describe('file with the password or an access token; read at each pull'),
            }),
          )
          .default({})
          .describe("logins for registries; for others fairlead uses root's ~/.docker/config.json"),
      })
      .prefault({}),
    history: z
      .strictObject({
        keep: z
          .string()
          .regex(/^\d+d$/, 'must be days such as 90d')
          .default('90d')
          .describe('time for which runs are kept'),
        maxSize: z
          .string()
          .regex(/^[1-9]\d*(MB|GB)$/, 'must be a size such as 256MB or 1GB')
          .default('256MB')
          .describe('above this size the oldest runs are deleted, whatever their age'),
      })
      .prefault({}),
    metrics: z
      .strictObject({
        textfile: file
          .regex(/\.prom$/, 'must end in .prom, as node_exporter wants it')
          .optional()
          .describe(
            'file for the textfile collector of node_exporter, such as /var/lib/prometheus/node-exporter/fairlead.prom',
          ),
      })
      .prefault({})
      .describe('metrics of the agent; GET /metrics on the status socket always has them'),
    vars: vars.default({}).describe('variables of this host only; they override those of the repository'),
    varsFile: file.optional().describe('YAML or JSON file with more variables; `vars` overrides it'),
  })
  .describe('The configuration of the agent on one host: /etc/fairlead/agent.yaml');
export type AgentConfigFile = z.infer<typeof agentConfig>;
