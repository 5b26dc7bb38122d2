/** Flags of commands that talk to a broker where no agent.yaml needs to be, such as in CI or on an operator's machine. */
import type { Command } from 'commander';
import { isReadable } from '../../manifests-schema/plain-credentials.ts';
import type { BrokerRequest } from './context.ts';

export interface BrokerFlags {
  broker?: string;
  username?: string;
  passwordFile?: string;
  ca?: string;
  prefix?: string;
  fleet?: string;
  insecure?: boolean;
}

/** @param whose what `--fleet` stands for in this command */
export const addBrokerFlags = (command: Command, whose: string): Command =>
  command
    .option('--broker <url>', "mqtt:// or mqtts:// (default: agent.yaml's)")
    .option('--username <name>', 'credential for the broker')
    .option('--password-file <file>', 'credential for the broker')
    .option('--ca <file>', 'PEM file of the CA of the broker')
    .option('--insecure', 'the password may go over plain mqtt')
    .option('--prefix <prefix>', 'prefix of the MQTT topics')
    .option('--fleet <fleet>', whose);

/** @returns why the flags cannot be used; null if they can */
export function brokerComplaint({ broker, passwordFile, insecure }: BrokerFlags): string | null {
  if (broker === undefined) return null;
  if (!/^mqtts?:\/\//.test(broker)) return `--broker must begin with mqtt:// or mqtts://, got ${broker}`;
  if (passwordFile && !insecure && isReadable(broker))
    return `${broker} would get the password without encryption, so that everybody on the way can read it; use mqtts://, or say --insecure if the way is yours alone`;
  return null;
}

/** What was said; the rest comes from agent.yaml. */
export const brokerRequest = ({ broker, username, passwordFile, ca, prefix, fleet }: BrokerFlags): BrokerRequest => ({
  ...(broker
    ? {
        broker: {
          url: broker,
          ...(username ? { username } : {}),
          ...(passwordFile ? { passwordFile } : {}),
          ...(ca ? { ca } : {}),
        },
      }
    : {}),
  ...(prefix ? { prefix } : {}),
  ...(fleet ? { fleet } : {}),
});
