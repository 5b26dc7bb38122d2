/** Declares the commands that need no daemon: for a new host, and for authors of a fleet repository. */
import { Option } from 'commander';
import type { Build } from '../building.ts';
import type { Context } from '../context.ts';
import { type InitOptions, init } from '../host/init.ts';
import { parseDuration } from '../since.ts';
import { affected } from './affected.ts';
import { FORMATS } from './annotations.ts';
import { type RenderOptions, render } from './render.ts';
import { type EncryptOptions, encrypt, recipients } from './secret.ts';
import { type ValidateOptions, validate } from './validate.ts';

export function addRepositoryCommands({ program, add, group, act }: Build): void {
  program.commandsGroup('A new host, and the fleet repository:');
  const dir = ['--dir <dir>', 'the fleet repository', '.'] as const;
  const worktree = ['--worktree', 'read the working tree, as the commit that it would make, instead of HEAD'] as const;
  add('init [url]', {
    text: 'set this host up: agent.yaml, its keys, the service; asks for missing values',
    examples: [
      'fairlead init git@git.example.com:fleet.git',
      'fairlead init https://git.example.com/fleet.git --broker mqtts://mqtt.example.com --wait 10m',
    ],
  })
    .option('--host <name>', "default: the machine's name")
    .option('--ref <ref>', 'branch, tag or commit; default main')
    .option('--path <dir>', "the host's directory in the repository; default hosts/<host>")
    .option('--broker <url>', 'MQTT broker to report to; default none')
    .option('--username <name>', 'user for the broker')
    .option('--password-file <file>', 'file with the password for the broker')
    .option('--no-start', 'do not start the service')
    .option('--wait [duration]', "wait until the repository has the host's directory", parseDuration)
    .action(act((c: Context, url: string | undefined, o: InitOptions) => init(c, url, o)));
  add('validate [dir]', {
    text: 'check every host of a fleet repository, offline',
    examples: ['fairlead validate', 'fairlead validate --worktree', 'fairlead validate --strict --format github'],
    exits: { 0: 'no error', 1: 'errors, or with --strict warnings' },
  })
    .option(...worktree)
    .option('--strict', 'exit 1 for warnings as well')
    .addOption(new Option('--format <format>', 'format of the findings').choices(FORMATS).default('text'))
    .option('--part <k/n>', 'check every n-th host starting at the k-th, to split the work over CI jobs')
    .action(act((c: Context, where: string | undefined, o: ValidateOptions) => validate(c, where ?? '.', o)));
  add('render <host>', {
    text: 'print the resolved state of a host, all layers merged',
    examples: ['fairlead render edge-1 --origin', 'fairlead render edge-1 --format compose'],
  })
    .option(...dir)
    .option(...worktree)
    .option('--facts <file>', 'JSON file with the facts of the host, for templates')
    .option('--origin', 'also print the file and line of each value')
    .addOption(
      new Option('--format <format>', 'each stack as `docker compose config --format json` prints it').choices([
        'compose',
      ]),
    )
    .action(act((c: Context, host: string, o: RenderOptions) => render(c, host, o)));
  add('affected <base> <head>', {
    text: 'list the hosts that a change reaches',
    examples: ['fairlead affected origin/main HEAD'],
  })
    .option(...dir)
    .action(act((c: Context, base: string, head: string, o: { dir: string }) => affected(c, base, head, o)));
  const secret = group('secret', {
    text: 'encrypted files of a fleet repository',
    examples: ['fairlead secret recipients edge-1', 'fairlead secret encrypt tls.key --role web'],
  });
  add(
    'recipients [hosts...]',
    {
      text: 'print the age recipients of hosts, or of this one',
      examples: ['fairlead secret recipients', 'fairlead secret recipients edge-1 edge-2 --dir ~/fleet'],
      exits: { 0: 'every host has one', 1: 'some host has none' },
    },
    secret,
  )
    .option(dir[0], 'the fleet repository; default: only this host, or . if no agent runs here')
    .action(act((c: Context, hosts: string[], o: { dir?: string }) => recipients(c, hosts, o)));
  add(
    'encrypt <file>',
    {
      text: 'encrypt a file (- for standard input) to hosts',
      examples: [
        'fairlead secret encrypt tls.key --role web',
        'fairlead secret encrypt - --to edge-1 edge-2 -o hosts/edge-1/token.age',
      ],
    },
    secret,
  )
    .option(...dir)
    .option('--to <hosts...>', 'hosts that must read it')
    .option('--role <roles...>', 'every host with one of these roles')
    .option(
      '--recipient <recipients...>',
      'age recipients of people, who can still decrypt the file when a host has lost its key',
    )
    .option('-o, --output <file>', 'default FILE.age, or standard output for standard input; - for standard output')
    .action(act((c: Context, file: string, o: EncryptOptions) => encrypt(c, file, o)));
}
