/** Declares the commands for this one host. */
import { Option } from 'commander';
import type { HistoryQuery, HoldRequest, SyncRequest } from '../../control/protocol.ts';
import type { Build } from '../building.ts';
import type { Context, GlobalOptions } from '../context.ts';
import { parseCommit, parseCount, parseDuration, parseRun, parseSince } from '../since.ts';
import { doctor } from './doctor.ts';
import { events } from './events.ts';
import * as holds from './holds.ts';
import * as commands from './questions.ts';
import { show } from './show.ts';
import { sync } from './sync.ts';
import { type UninstallOptions, uninstall } from './uninstall.ts';

export function addHostCommands({ program, add, act, deps, terminal, finish, behind }: Build): void {
  program.commandsGroup('This host:');
  add('agent', {
    text: 'run the daemon; systemd starts it',
    examples: ['systemctl enable --now fairlead', 'fairlead agent --once'],
    exits: { 0: 'ended, or reconciled (--once)', 1: 'failed' },
  })
    .option('--once', 'one reconcile, then exit')
    .action(async function (this) {
      const options = this.optsWithGlobals<GlobalOptions & { once?: boolean }>();
      finish(await deps.runAgent({ ...options, once: options.once ?? false }));
    });
  add('status', {
    text: 'show sync, health, the commit and every problem',
    examples: ['fairlead status', 'fairlead status --json'],
    exits: { 0: 'synced and healthy', 2: 'held and healthy', 1: 'neither' },
  }).action(act(commands.status));
  add('plan', {
    text: 'show what a sync would change now, field by field',
    examples: ['fairlead plan --diff', 'fairlead plan --commit 1a2b3c4', 'fairlead plan --dir ~/fleet'],
    exits: { 0: 'nothing to do', 2: 'changes', 1: 'error' },
  })
    .option('--commit <commit>', 'plan for this commit instead: one that this host had, or a full id', parseCommit)
    .addOption(new Option('--dir <dir>', 'plan for HEAD of a fleet repository on this machine').conflicts('commit'))
    .addOption(
      new Option('--worktree', 'plan for the working tree of --dir (default: .), committed or not').conflicts('commit'),
    )
    .option('--diff', 'also show the changed lines of files and units')
    .action(act((c: Context, o: commands.PlanOptions) => commands.plan(c, o)));
  add('sync', {
    text: 'reconcile now and watch; the run continues if you stop watching',
    examples: ['fairlead sync', 'fairlead sync --allow-prune'],
    exits: {
      0: 'synced',
      2: 'held',
      1: 'failed, or the repository could not be read',
      130: 'interrupted: the run continues',
    },
  })
    .option('--allow-prune', 'allow removing more than prune.max')
    .option('--allow-rewind', 'accept an older commit: a rewound branch, a moved tag, a lower version')
    .option('--allow-empty', 'start services without the data that they leave behind (DataLeftBehind)')
    .option('--adopt', 'recreate what already runs here and differs from its declaration')
    .option('--force', 'retry a commit that did not settle here, and ignore the maintenance window')
    .option('--no-wait', 'return as soon as the run is accepted')
    .action(
      act((c: Context, { wait, json: _, ...request }: SyncRequest & GlobalOptions & { wait: boolean }) =>
        sync(c, request, { wait }),
      ),
    );
  add('pause', {
    text: 'stop changing this host, or single resources, for commits and for repairs',
    examples: [
      'fairlead pause --for 2h --reason "moving the racks"',
      'fairlead pause service:shop/db --for 30m',
      'fairlead pause service:shop/db -- backup-the-database',
    ],
    exits: { 0: 'paused; with a command: the exit code of the command' },
  })
    .argument(
      '[id...]',
      'resources, with all that depend on them; then optionally `--` and a command: the pause ends with it',
    )
    .option('--for <duration>', 'duration such as 30m, 2h or 1d (default: until resume)', parseDuration)
    .option('--reason <text>', 'shown wherever the pause is shown')
    .action(
      act((c: Context, words: string[], { json: _, ...o }: Pick<HoldRequest, 'for' | 'reason'> & GlobalOptions) =>
        holds.pause(c, { ids: words.slice(0, words.length - behind.length), command: behind }, o),
      ),
    );
  add('resume', { text: 'end a pause or a pin', examples: ['fairlead resume', 'fairlead resume service:shop/db'] })
    .argument('[id...]', 'end only the pause of these resources')
    .action(act((c: Context, ids: string[]) => holds.resume(c, ids)));
  add('rollback', {
    text: 'return to an earlier commit and stay there until resume',
    examples: ['fairlead rollback', 'fairlead rollback 1a2b3c4'],
    exits: { 0: 'on the pinned commit', 1: 'refused, or failed' },
  })
    .argument('[commit]', 'default: the last good commit with other content than the current one', parseCommit)
    .option('--force', 'accept a commit that did not settle here')
    .action(
      act((c: Context, commit: string | undefined, { force }: { force?: boolean }) =>
        holds.rollback(c, commit, { force }),
      ),
    );
  add('doctor', {
    text: 'check everything that this host needs, with a remedy for each failure',
    examples: ['fairlead doctor'],
    exits: { 0: 'all well', 1: 'something failed' },
  }).action(act(doctor));
  add('uninstall', {
    text: 'leave the fleet: stop the agent, and keep or remove what it manages; data always stays',
    examples: ['fairlead uninstall', 'fairlead uninstall --remove-managed'],
    exits: { 0: 'the host has left', 1: 'not everything could be removed' },
  })
    .option('--remove-managed', 'remove what fairlead created or adopted, except volumes (default: everything runs on)')
    .addOption(new Option('--note', 'only note which files below tree/ were written by fairlead').hideHelp())
    .action(act((c: Context, o: UninstallOptions) => uninstall(c, o)));
  add('resources', { text: 'list every resource with its sync and health', examples: ['fairlead resources'] }).action(
    act(commands.resources),
  );
  add('show <id>', {
    text: 'show one resource: desired, actual, last actions, and what repairs overwrote',
    examples: ['fairlead show service:shop/web', 'fairlead show motd', 'fairlead show motd --overwritten > motd.mine'],
    exits: { 4: 'no such resource, several of them, or nothing kept' },
  })
    .option('--overwritten [n]', 'print the bytes that the newest (or n-th newest) repair overwrote', parseCount)
    .action(act((c: Context, id: string, o: { overwritten?: number | true }) => show(c, id, o)));
  add('history', {
    text: 'list runs, newest first, or show one with its changes; works while the agent is down',
    examples: ['fairlead history --since 2h', 'fairlead history 17', 'fairlead history --resource file:/etc/motd'],
    exits: { 4: 'no such run' },
  })
    .argument('[run]', 'a number from the list', parseRun)
    .option('--limit <n>', 'list at most this many', parseCount, 20)
    .option('--since <time>', 'runs that began since then: 2h, 7d, 2026-11-24, or an ISO time', (t) =>
      parseSince(t, terminal.now()),
    )
    .option('--resource <id>', 'runs that acted on this resource')
    .option('--commit <commit>', 'runs of this commit, or that delivered it', parseCommit)
    .option('--failed', 'runs that failed')
    .action(
      act((c: Context, run: number | undefined, { json: _, ...query }: HistoryQuery & GlobalOptions) =>
        commands.history(c, run, query),
      ),
    );
  add('events', {
    text: 'follow runs, changes, drift and repairs until Ctrl-C',
    examples: ['fairlead events', 'fairlead events --json | jq -r .type'],
  })
    .option('-f, --follow', 'accepted for convenience: events always follows until Ctrl-C')
    .action(act(events));
}
