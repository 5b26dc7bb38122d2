/** Declares the commands that talk to the broker only. */

import { fleetStatus } from './commands.ts';
import type { Context } from './context.ts';
import { type NotifyFlags, notify } from './notify.ts';
import type { Build } from './program.ts';

export function addFleetCommands({ program, add, group, act, terminal }: Build): void {
  program.commandsGroup('The fleet:');
  const fleet = group('fleet', { text: 'the whole fleet, from the broker alone', examples: ['fairlead fleet status'] });
  add(
    'status',
    {
      text: 'a table of all hosts',
      examples: ['fairlead fleet status'],
      exits: { 0: 'all are well', 1: 'some host is not' },
    },
    fleet,
  ).action(act(fleetStatus));
  add('notify [ref] [commit]', {
    text: 'notify the fleet that a ref has a new commit, from CI or a git hook',
    examples: ['fairlead notify --broker mqtts://broker:8883 main "$(git rev-parse HEAD)"'],
  })
    .option('--broker <url>', "mqtt:// or mqtts:// (default: agent.yaml's)")
    .option('--username <name>', 'credential for the broker')
    .option('--password-file <file>', 'credential for the broker')
    .option('--ca <file>', 'PEM file of the CA of the broker')
    .option('--insecure', 'the password may go over plain mqtt')
    .option('--prefix <prefix>', 'prefix of the MQTT topics')
    .option('--fleet <fleet>', 'the fleet whose hosts are notified')
    .action(
      act((c: Context, ref: string | undefined, commit: string | undefined, options: NotifyFlags) =>
        notify(c, ref, commit, options, terminal.env),
      ),
    );
}
