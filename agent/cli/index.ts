/** The command line: words to commands, failures to exit codes. */
import { Command, CommanderError, Option } from 'commander';
import type { SyncRequest } from '../control/protocol.ts';
import { AgentError } from '../errors.ts';
import * as commands from './commands.ts';
import { type CliDeps, type Context, EXIT, type GlobalOptions, type Terminal } from './context.ts';
import { doctor } from './doctor.ts';
import * as holds from './holds.ts';
import { type NotifyFlags, notify } from './notify.ts';
import { addRepositoryCommands } from './repository.ts';
import { parseCount, parseSince } from './since.ts';
import { createStyle, plain } from './table.ts';

export type { CliDeps, Terminal } from './context.ts';

/** Runs one command. @returns the exit code */
export async function runCli(argv: readonly string[], terminal: Terminal, deps: CliDeps): Promise<number> {
  let code: number = EXIT.ok;
  const program = build(terminal, deps, (result) => {
    code = result;
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return code;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.ok : EXIT.usage;
    const error = thrown instanceof AgentError ? thrown : null;
    terminal.stderr(
      `fairlead: ${error?.message ?? (thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown))}\n`,
    );
    return error && ['DaemonUnreachable', 'BrokerUnreachable'].includes(error.code) ? EXIT.unreachable : EXIT.bad;
  }
}

function build(terminal: Terminal, deps: CliDeps, finish: (code: number) => void): Command {
  const program = new Command('fairlead');
  program
    .description('GitOps for hosts that run no Kubernetes')
    .exitOverride()
    .configureOutput({
      writeOut: (t) => terminal.stdout(t),
      writeErr: (t) => terminal.stderr(t),
      outputError: (text, write) =>
        write(`fairlead: ${text.replace(/^error: /, '').trim()}; see \`fairlead --help\`\n`),
    })
    .showSuggestionAfterError(true)
    .addOption(new Option('--config <file>', 'agent.yaml (default /etc/fairlead/agent.yaml)').env('FAIRLEAD_CONFIG'))
    .option('--root <dir>', 'keep state, sockets and managed files below this directory; manages files only')
    .option('--json', 'one JSON document on stdout')
    .action(() => {
      program.outputHelp();
      finish(EXIT.usage);
    });

  const contextOf = (command: Command): Context => {
    const options = command.optsWithGlobals<GlobalOptions>();
    const color = terminal.isTTY && !terminal.env.NO_COLOR && terminal.env.TERM !== 'dumb';
    return {
      deps,
      options,
      client: deps.client(options),
      columns: Math.max(80, terminal.columns),
      style: createStyle(color),
      now: () => terminal.now(),
      print: (document, text) => terminal.stdout(`${options.json ? JSON.stringify(document) : plain(text())}\n`),
      write: (text) => terminal.stdout(`${text}\n`),
      say: (line) => terminal.stdout(`${plain(line)}\n`),
      complain: (line) => terminal.stderr(`fairlead: ${plain(line)}\n`),
    };
  };
  const add = (name: string, text: string, example: string, parent: Command = program) =>
    parent
      .command(name)
      .description(text)
      .option('--json', 'one JSON document on stdout')
      .addHelpText('after', `\nExample:\n  ${example}`);
  const act = (run: (c: Context, ...args: never[]) => Promise<number>) =>
    async function (this: Command, ...args: unknown[]) {
      finish(await run(contextOf(this), ...(args as never[])));
    };

  add('agent', 'the daemon', 'fairlead agent --once')
    .option('--once', 'one reconcile, then exit')
    .action(async function (this: Command) {
      const options = this.optsWithGlobals<GlobalOptions & { once?: boolean }>();
      finish(await deps.runAgent({ ...options, once: options.once ?? false }));
    });
  add('status', 'sync, health, commit, what is wrong', 'fairlead status --json').action(act(commands.status));
  add('plan', 'what a sync would change now, field by field', 'fairlead plan --dir ~/fleet')
    .option('--dir <dir>', 'of a fleet repository on this machine, committed or not')
    .action(act((c: Context, o: { dir?: string }) => commands.plan(c, o)));
  add('sync', 'reconcile now, and watch', 'fairlead sync --allow-prune')
    .option('--allow-prune', 'remove more than prune.max allows')
    .option('--allow-rewind', 'follow a branch that was rewound or rewritten')
    .option('--adopt', 'make anew what already runs here and differs from its declaration')
    .option('--force', 'try a commit again that did not settle here; no window holds it')
    .option('--no-wait', 'return when the run was accepted')
    .action(
      act(
        (
          c: Context,
          {
            wait,
            adopt = false,
            allowPrune = false,
            allowRewind = false,
            force = false,
          }: SyncRequest & { wait: boolean },
        ) => commands.sync(c, { adopt, allowPrune, allowRewind, force }, wait),
      ),
    );
  add(
    'pause',
    'touch nothing on this host, neither for commits nor for repairs',
    'fairlead pause --for 2h --reason "migration"',
  )
    .option('--for <duration>', 'such as 30m, 2h or 1d (default: until resume)')
    .option('--reason <text>', 'shown wherever the pause is')
    .action(
      act((c: Context, o: { for?: string; reason?: string }) =>
        holds.pause(c, { ...(o.for ? { for: o.for } : {}), ...(o.reason ? { reason: o.reason } : {}) }),
      ),
    );
  add('resume', 'end a pause or a pin', 'fairlead resume').action(act(holds.resume));
  add(
    'rollback [commit]',
    'go back to an earlier commit and stay there until resume',
    'fairlead rollback 1a2b3c4',
  ).action(act((c: Context, commit: string | undefined) => holds.rollback(c, commit)));
  add('doctor', 'probe what this host needs, and say how to mend it', 'fairlead doctor').action(act(doctor));
  add('resources', 'every resource, its sync and health', 'fairlead resources').action(act(commands.resources));
  add('show <id>', 'one resource: declared, actual, last actions', 'fairlead show service:shop/web').action(
    act((c: Context, id: string) => commands.show(c, id)),
  );
  add('history [run]', 'runs, newest first, or one run with its changes', 'fairlead history --resource file:/etc/motd')
    .option('--limit <n>', 'at most so many', parseCount, 20)
    .option('--since <time>', 'began since then: 2h, 7d, 2026-11-24, or an ISO time', (t) =>
      parseSince(t, terminal.now()),
    )
    .option('--resource <id>', 'that acted on this resource')
    .option('--commit <id>', 'of this commit')
    .option('--failed', 'that failed')
    .action(
      act(
        (
          c: Context,
          run: string | undefined,
          o: { limit: number; since?: string; resource?: string; commit?: string; failed?: boolean },
        ) =>
          commands.history(c, run, {
            limit: o.limit,
            ...(o.since ? { since: o.since } : {}),
            ...(o.resource ? { resource: o.resource } : {}),
            ...(o.commit ? { commit: o.commit } : {}),
            ...(o.failed ? { failed: true } : {}),
          }),
      ),
    );
  addRepositoryCommands(program, add, act);
  const fleet = program.command('fleet').description('the whole fleet, from the broker alone').exitOverride();
  add('status', 'a table of all hosts', 'fairlead fleet status', fleet).action(act(commands.fleetStatus));
  add(
    'notify [ref] [commit]',
    'tell the fleet that a ref has a new commit, from CI or a git hook',
    'fairlead notify --broker mqtts://broker:8883 main "$(git rev-parse HEAD)"',
  )
    .option('--broker <url>', "mqtt:// or mqtts:// (default: agent.yaml's)")
    .option('--username <name>', 'for the broker')
    .option('--password-file <file>', 'for the broker')
    .option('--ca <file>', 'PEM file of the CA of the broker')
    .option('--prefix <prefix>', 'of the topics')
    .option('--fleet <fleet>', 'whose hosts are told')
    .action(
      act((c: Context, ref: string | undefined, commit: string | undefined, options: NotifyFlags) =>
        notify(c, ref, commit, options, terminal.env),
      ),
    );
  add('version', 'the version of this program', 'fairlead version').action(
    act(async (c: Context) => {
      c.print({ schema: 1, version: deps.version }, () => `fairlead ${deps.version}`);
      return EXIT.ok;
    }),
  );
  return program;
}
