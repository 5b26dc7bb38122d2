/** agent.yaml: how the agent on a host finds its repository, its broker and its engine. */
import { z } from 'zod';

const hostName = z
  .string()
  .regex(
    /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/,
    'must be a lower-case host name (RFC 1123)',
  );
const file = z.string().startsWith('/', 'must be an absolute path');
const duration = z.string().regex(/^\d+(ms|s|m|h|d)$/, 'must be a duration such as 90s, 5m or 2h');

export const agentConfig = z
  .strictObject({
    host: hostName.optional().describe("default: the machine's name, lower case, frozen at the first start"),
    fleet: z
      .string()
      .regex(/^[A-Za-z0-9._-]+$/, 'may have letters, digits, . _ - only')
      .default('default'),
    labels: z.record(z.string(), z.string()).default({}).describe('usable as ${label.x} in path and ref'),
    repo: z.strictObject({
      url: z.string().min(1).describe('https, http or a path on this machine'),
      ref: z.string().default('main').describe('branch, tag or commit'),
      path: z.string().default('hosts/${host}').describe("the host's directory in the repository"),
      auth: z
        .strictObject({ username: z.string().optional(), passwordFile: file.optional(), tokenFile: file.optional() })
        .optional()
        .describe('credentials, read from files at each use'),
      ca: file.optional().describe('PEM file of a private CA'),
    }),
    sync: z
      .strictObject({
        schedule: z.string().default('* * * * *').describe('cron expression (node-cron)'),
        splay: duration.default('60s').describe('each host has a stable place within it'),
      })
      .prefault({}),
    mqtt: z
      .strictObject({
        url: z.string().regex(/^mqtts?:\/\//, 'must begin with mqtt:// or mqtts://'),
        username: z.string().optional(),
        passwordFile: file.optional(),
        ca: file.optional(),
        cert: file.optional(),
        key: file.optional(),
        prefix: z.string().default('fairlead'),
      })
      .optional()
      .describe('the broker; may be left out'),
    docker: z.strictObject({ socket: file.default('/var/run/docker.sock') }).prefault({}),
    history: z
      .strictObject({
        keep: z
          .string()
          .regex(/^\d+d$/, 'must be days such as 90d')
          .default('90d'),
      })
      .prefault({}),
  })
  .describe('The configuration of the agent on one host: /etc/fairlead/agent.yaml');
export type AgentConfigFile = z.infer<typeof agentConfig>;
