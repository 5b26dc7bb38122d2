/** Flags of commands that talk to a broker where no agent.yaml needs to be, such as in CI or on an operator's machine. */
import { type Command, Option } from 'commander';
import {
  BROKER_SCHEMES,
  BROKER_URL,
  encryptedScheme,
  isReadable,
} from '../../../manifests-schema/plain-credentials.ts';
import type { BrokerRequest } from '../context.ts';

export interface BrokerFlags {
  broker?: string;
  username?: string;
  passwordFile?: string;
  ca?: string;
  cert?: string;
  key?: string;
  /** Name of a context in fleet.yaml. */
  context?: string;
  prefix?: string;
  fleet?: string;
  insecure?: boolean;
}

/** @param whose meaning of `--fleet` in this command */
export const addBrokerFlags = (command: Command, whose: string): Command =>
  command
    .addOption(new Option('--broker <url>', `${BROKER_SCHEMES} (default: FAIRLEAD_BROKER, a context, agent.yaml's)`))
    .addOption(new Option('--context <name>', 'broker and fleet of ~/.config/fairlead/fleet.yaml').conflicts('broker'))
    .option('--username <name>', 'user for the broker')
    .option('--password-file <file>', 'file with the password for the broker')
    .option('--ca <file>', 'PEM file of the CA of the broker')
    .option('--cert <file>', 'PEM file of a client certificate')
    .option('--key <file>', 'PEM file of its key')
    .option('--insecure', 'allow the password over an unencrypted connection')
    .option('--prefix <prefix>', 'prefix of the MQTT topics')
    .option('--fleet <fleet>', whose);

const OF_A_BROKER = {
  ...{ username: '--username', passwordFile: '--password-file', ca: '--ca', cert: '--cert', key: '--key' },
} as const;

/** @returns why the flags cannot be used; null if they can */
export function brokerComplaint({ broker, insecure, ...flags }: BrokerFlags): string | null {
  const { passwordFile, cert, key } = flags;
  if (broker === undefined) {
    const lost = Object.entries(OF_A_BROKER).find(([flag]) => flags[flag as keyof typeof OF_A_BROKER] !== undefined);
    return lost === undefined ? null : `${lost[1]} has no effect without --broker`;
  }
  if ((cert === undefined) !== (key === undefined)) return '--cert and --key have no effect without each other';
  if (!BROKER_URL.test(broker)) return `--broker must begin with ${BROKER_SCHEMES}, got ${broker}`;
  if (passwordFile && !insecure && isReadable(broker))
    return `${broker} would get the password without encryption, so that everybody on the way can read it; use ${encryptedScheme(broker)}://, or say --insecure if the way is yours alone`;
  return null;
}

/** The flags that were given; missing settings come from elsewhere (agent/fleet/contexts.ts). */
export const brokerRequest = ({ broker, ...flags }: BrokerFlags): BrokerRequest => ({
  ...(broker
    ? {
        broker: {
          url: broker,
          ...(flags.username ? { username: flags.username } : {}),
          ...(flags.passwordFile ? { passwordFile: flags.passwordFile } : {}),
          ...(flags.ca ? { ca: flags.ca } : {}),
          ...(flags.cert ? { cert: flags.cert } : {}),
          ...(flags.key ? { key: flags.key } : {}),
        },
      }
    : {}),
  ...(flags.context ? { context: flags.context } : {}),
  ...(flags.prefix ? { prefix: flags.prefix } : {}),
  ...(flags.fleet ? { fleet: flags.fleet } : {}),
});
