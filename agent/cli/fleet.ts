/** Declares the commands that talk to the broker only. */
import { Option } from 'commander';
import { addBrokerFlags, type BrokerFlags } from './broker-flags.ts';
import type { Context } from './context.ts';
import { fleetForget } from './fleet-forget.ts';
import { fleetStatus } from './fleet-status.ts';
import { notify } from './notify.ts';
import type { Build } from './program.ts';

export function addFleetCommands({ program, add, group, act, terminal }: Build): void {
  program.commandsGroup('The fleet:');
  const fleet = group('fleet', { text: 'the whole fleet, from the broker alone', examples: ['fairlead fleet status'] });
  const status = add(
    'status',
    {
      text: 'a table of all hosts, those that need somebody on top',
      examples: [
        'fairlead fleet status',
        'fairlead fleet status --broker mqtts://broker:8883 --label site=berlin --state failed',
        'fairlead fleet status --behind --json',
      ],
      exits: { 0: 'all that are shown are well', 1: 'some host is not' },
    },
    fleet,
  )
    .option('--host <pattern>', 'only hosts whose name matches, such as `berlin-*`')
    .option('--label <key=value>', 'only hosts with this label; several: with all of them', collect, [])
    .option('--state <state>', 'only hosts of this sync, health or presence')
    .option('--behind', 'only hosts that do not run the newest commit')
    .addOption(new Option('--hosts <file>', 'names of hosts, one in each line, in place of the index on the broker'))
    .addOption(new Option('--repo <dir>', 'the same, from a fleet repository').conflicts('hosts'));
  addBrokerFlags(status, 'the fleet that is shown').action(act(fleetStatus));
  const forget = add(
    'forget <host...>',
    {
      text: 'take away what hosts left on the broker that are gone for good',
      examples: ['fairlead fleet forget edge-7', 'fairlead fleet forget edge-7 edge-8 --broker mqtts://broker:8883'],
      exits: { 0: 'all are forgotten', 1: 'some host is online, or unknown' },
    },
    fleet,
  );
  addBrokerFlags(forget, 'the fleet that the hosts belong to').action(
    act((c: Context, hosts: string[], options: BrokerFlags) => fleetForget(c, hosts, options)),
  );
  const told = add('notify [ref] [commit]', {
    text: 'notify the fleet that a ref has a new commit, from CI or a git hook',
    examples: ['fairlead notify --broker mqtts://broker:8883 main "$(git rev-parse HEAD)"'],
  });
  addBrokerFlags(told, 'the fleet whose hosts are notified').action(
    act((c: Context, ref: string | undefined, commit: string | undefined, options: BrokerFlags) =>
      notify(c, ref, commit, options, terminal.env),
    ),
  );
}

const collect = (value: string, before: readonly string[]): string[] => [...before, value];
