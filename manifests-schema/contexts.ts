/** `~/.config/fairlead/fleet.yaml`: the fleets that somebody looks at from their own machine. */
import { z } from 'zod';
import {
  BROKER_SCHEMES,
  BROKER_URL,
  encryptedScheme,
  isReadable,
  readable,
  WEBSOCKET_URL,
} from './plain-credentials.ts';

/** Absolute, or below the home of the user who runs the command. */
const file = z.string().regex(/^(~?\/)/, 'must be an absolute path, or begin with ~/');

export const fleetContext = z
  .strictObject({
    broker: z
      .string()
      .regex(/^[^@]*$/, 'must not carry a user or a password; use username and passwordFile')
      .regex(BROKER_URL, `must begin with ${BROKER_SCHEMES}`)
      .describe(`${BROKER_SCHEMES} with its path`),
    websocket: z
      .string()
      .regex(/^[^@]*$/, 'must not carry a user or a password; the page asks for them')
      .regex(WEBSOCKET_URL, 'must begin with wss:// or ws://')
      .optional()
      .describe('websocket address of the same broker, for the dashboard; default: `broker`, if that is one'),
    username: z.string().optional().describe('user name for the broker'),
    passwordFile: file.optional().describe('file with the password'),
    ca: file.optional().describe('PEM file of the CA of the broker'),
    cert: file.optional().describe('PEM file of a client certificate'),
    key: file.optional().describe('PEM file of its key'),
    prefix: z.string().min(1).optional().describe('first part of every topic; default fairlead'),
    fleet: z.string().min(1).optional().describe('default: default'),
    insecure: z.boolean().optional().describe('true: allow a password over an unencrypted connection'),
  })
  .superRefine(({ broker, passwordFile, insecure, cert, key }, context) => {
    if (passwordFile !== undefined && !insecure && isReadable(broker))
      context.addIssue({ code: 'custom', path: ['broker'], message: readable('a password', encryptedScheme(broker)) });
    if ((cert === undefined) !== (key === undefined)) {
      const [has, lacks] = cert === undefined ? ['key', 'cert'] : ['cert', 'key'];
      context.addIssue({ code: 'custom', path: [has], message: `has no effect without \`${lacks}\`` });
    }
  });
export type FleetContext = z.infer<typeof fleetContext>;

export const fleetContexts = z
  .strictObject({
    current: z.string().optional().describe('the context of commands without --context'),
    contexts: z.record(z.string(), fleetContext).describe('name → broker and fleet'),
  })
  .superRefine(({ current, contexts }, context) => {
    if (current === undefined || current in contexts) return;
    const names = Object.keys(contexts).join(', ');
    context.addIssue({ code: 'custom', path: ['current'], message: `names no context; there are: ${names}` });
  })
  .describe('~/.config/fairlead/fleet.yaml: the fleets for commands without --broker');
