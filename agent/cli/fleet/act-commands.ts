/** Declares the commands that act on hosts of a fleet. */
import { Option } from 'commander';
import type { CommandName } from '../../../manifests-schema/command-names.ts';
import type { Build, CliCommand } from '../building.ts';
import type { Context } from '../context.ts';
import { parseCount, parseDuration } from '../since.ts';
import { type FleetActFlags, fleetAct } from './act.ts';
import { addBrokerFlags } from './broker-flags.ts';
import { addSelectionFlags } from './select.ts';

interface Acting {
  command: CommandName;
  text: string;
  examples: string[];
  /** Options of its own. */
  add(command: CliCommand): CliCommand;
}

const ACTING: readonly Acting[] = [
  {
    command: 'sync',
    text: 'make hosts reconcile now',
    examples: [
      'fairlead fleet sync edge-7',
      'fairlead fleet sync --label site=berlin --plan',
      'fairlead fleet sync --state failed --yes --max-parallel 50 --stop-after 3',
    ],
    add: (command) =>
      command
        .option('--plan', 'first show what would change on each host')
        .option('--force', 'retry a commit that did not settle, and ignore maintenance windows')
        .option('--adopt', 'recreate what already runs there and differs from its declaration')
        .option('--allow-prune', 'allow removing more than prune.max'),
  },
  {
    command: 'plan',
    text: 'show what a sync would change on hosts',
    examples: ['fairlead fleet plan edge-7', 'fairlead fleet plan --label site=berlin --json'],
    add: (command) => command.option('--commit <id>', 'plan for this commit instead of the head of the ref'),
  },
  {
    command: 'pause',
    text: 'stop commits and repairs on hosts',
    examples: ['fairlead fleet pause --label site=berlin --for 2h --reason "power works"'],
    add: (command) =>
      command.option('--for <duration>', 'such as 30m, 2h or 1d; without it until `fleet resume`', parseDuration),
  },
  {
    command: 'resume',
    text: 'end pauses and pins of hosts',
    examples: ['fairlead fleet resume --label site=berlin'],
    add: (command) => command,
  },
  {
    command: 'rollback',
    text: 'make hosts return to a commit that they accepted earlier, and stay there',
    examples: ['fairlead fleet rollback edge-7', 'fairlead fleet rollback --label site=berlin --commit 1a2b3c4'],
    add: (command) =>
      command.option(
        '--commit <id>',
        'default: the last good commit of each host with other content than the current one',
      ),
  },
];

export function addFleetActCommands({ add, act }: Build, fleet: CliCommand): void {
  for (const { command, text, examples, add: addOwn } of ACTING) {
    const declared = add(
      `${command} [host...]`,
      {
        text,
        examples,
        exits: {
          0: 'done, and every host is well',
          1: 'some host is not well, did not answer, or did not get the command',
          130: 'interrupted: no further host gets the command, and those that got it continue',
        },
      },
      fleet,
    )
      .option('--all', 'every host of the fleet')
      .option('--yes', 'do not ask for confirmation, also for more than ten hosts')
      .addOption(
        new Option('--max-parallel <n>', 'number of hosts that work at the same time')
          .default(20)
          .argParser(parseCount),
      )
      .option('--stop-after <n>', 'after n failures, send the command to no further host', parseCount)
      .addOption(
        new Option('--timeout <duration>', 'how long to wait for each host').default('15m').argParser(parseDuration),
      )
      .option('--reason <text>', 'shown in history, events and status of the hosts');
    addSelectionFlags(addOwn(declared as CliCommand));
    addBrokerFlags(declared, 'the fleet of these hosts').action(
      act((c: Context, hosts: string[], flags: FleetActFlags) => fleetAct(c, command, hosts, flags)),
    );
  }
}
