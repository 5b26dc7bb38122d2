/** Declares the commands that talk to the broker only. */
import { Option } from 'commander';
import type { Build } from '../building.ts';
import type { Context } from '../context.ts';
import { addFleetActCommands } from './act-commands.ts';
import { addBrokerFlags, type BrokerFlags } from './broker-flags.ts';
import { fleetDashboard } from './dashboard.ts';
import { fleetEvents } from './events.ts';
import { fleetForget } from './forget.ts';
import { notify } from './notify.ts';
import { fleetRelay, RELAY_FILE } from './relay.ts';
import { addSelectionFlags, collect } from './select.ts';
import { type FleetShowFlags, fleetShow } from './show.ts';
import { fleetStatus } from './status.ts';
import { fleetWatch } from './watch.ts';

export function addFleetCommands(build: Build): void {
  const { program, add, group, act, terminal } = build;
  program.commandsGroup('The fleet:');
  const fleet = group('fleet', { text: 'the whole fleet, from the broker alone', examples: ['fairlead fleet status'] });
  const status = add(
    'status',
    {
      text: 'a table of all hosts; those that need somebody come first',
      examples: [
        'fairlead fleet status',
        'fairlead fleet status --broker mqtts://broker:8883 --label site=berlin --state failed',
        'fairlead fleet status --behind --json',
      ],
      exits: { 0: 'all listed hosts are well', 1: 'some host is not well' },
    },
    fleet,
  ).option('--watch', 'keep showing changes, as `fleet watch` does');
  addSelectionFlags(status);
  addBrokerFlags(status, 'the fleet that is shown').action(act(fleetStatus));
  add(
    'dashboard',
    {
      text: 'the dashboard of the fleet, served here or written for another web server',
      examples: [
        'fairlead fleet dashboard',
        'fairlead fleet dashboard --websocket wss://broker.example.com:8884',
        'fairlead fleet dashboard --websocket wss://broker.example.com:8884 --out /srv/www/fleet',
      ],
    },
    fleet,
  )
    .option('--websocket <url>', 'wss:// or ws:// address of the broker for browsers (default: that of the context)')
    .option('--context <name>', 'websocket and fleet of ~/.config/fairlead/fleet.yaml')
    .option('--listen <address>', 'address at which the page is served', '127.0.0.1:8080')
    .option(
      '--name <name>',
      'a host name that browsers may use for the page, besides localhost and addresses; can be repeated',
      collect,
      [],
    )
    .option('--login', 'the page asks for a user before its first connection')
    .option('--prefix <prefix>', 'prefix of the MQTT topics')
    .option('--fleet <fleet>', 'the fleet that is shown')
    .addOption(new Option('--hosts <file>', 'file with host names, one a line, instead of the index on the broker'))
    .addOption(new Option('--repo <dir>', 'the same, from a fleet repository').conflicts('hosts'))
    .option('--out <dir>', 'write the files there instead, for another web server')
    .action(act(fleetDashboard));
  const watch = add(
    'watch',
    {
      text: 'the table of hosts, updated as they report, until q or Ctrl-C; in a pipe a line for each change',
      examples: [
        'fairlead fleet watch',
        'fairlead fleet watch --state failed',
        'fairlead fleet watch --json | tee log',
      ],
      exits: { 0: 'ended by q or Ctrl-C' },
    },
    fleet,
  );
  addBrokerFlags(addSelectionFlags(watch), 'the fleet that is shown').action(act(fleetWatch));
  const show = add(
    'show <host>',
    {
      text: 'one host: its status, resources and newest runs, also while it is offline',
      examples: ['fairlead fleet show edge-7', 'fairlead fleet show edge-7 --follow'],
      exits: { 0: 'it is well, or was followed', 1: 'it is not well', 4: 'the broker knows no such host' },
    },
    fleet,
  ).option('--follow', 'then show its events, until Ctrl-C');
  addBrokerFlags(show, 'the fleet that the host belongs to').action(
    act((c: Context, host: string, options: FleetShowFlags) => fleetShow(c, host, options)),
  );
  const events = add(
    'events',
    {
      text: 'follow the events of all hosts until Ctrl-C',
      examples: ['fairlead fleet events', 'fairlead fleet events --label site=berlin --json'],
    },
    fleet,
  );
  addBrokerFlags(addSelectionFlags(events), 'the fleet whose events are shown').action(act(fleetEvents));
  const forget = add(
    'forget <host...>',
    {
      text: 'delete the retained topics of hosts that no longer exist',
      examples: ['fairlead fleet forget edge-7', 'fairlead fleet forget edge-7 edge-8 --broker mqtts://broker:8883'],
      exits: { 0: 'all are forgotten', 1: 'some host is online, or unknown' },
    },
    fleet,
  );
  addBrokerFlags(forget, 'the fleet that the hosts belong to').action(
    act((c: Context, hosts: string[], options: BrokerFlags) => fleetForget(c, hosts, options)),
  );
  add(
    'relay [file]',
    {
      text: `send notifications of the whole fleet, commit statuses and push notices, until it is stopped (default: ${RELAY_FILE})`,
      examples: ['fairlead fleet relay', 'fairlead fleet relay --check ./relay.yaml'],
      exits: { 0: 'stopped', 1: 'it cannot start' },
    },
    fleet,
  )
    .option('--check', 'only check the settings')
    .action(act((c: Context, file: string | undefined, options: { check?: boolean }) => fleetRelay(c, file, options)));
  addFleetActCommands(build, fleet);
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
