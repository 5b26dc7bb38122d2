/** The words of the commands that need no daemon: for a new host, and for those who write a fleet repository. */
import type { Command } from 'commander';
import { affected } from './affected.ts';
import type { Context } from './context.ts';
import { type InitOptions, init } from './init.ts';
import { type RenderOptions, render } from './render.ts';
import { type EncryptOptions, encrypt, recipients } from './secret.ts';
import { type ValidateOptions, validate } from './validate.ts';

type Add = (name: string, text: string, example: string, parent?: Command) => Command;
type Act = (
  run: (c: Context, ...args: never[]) => Promise<number>,
) => (this: Command, ...args: unknown[]) => Promise<void>;

export function addRepositoryCommands(program: Command, add: Add, act: Act): void {
  const dir = ['--dir <dir>', 'the fleet repository', '.'] as const;
  add('init [url]', 'write agent.yaml, make the keys of this host', 'fairlead init git@git.example.com:fleet.git')
    .option('--host <name>', "default: the machine's name")
    .option('--ref <ref>', 'branch, tag or commit; default main')
    .option('--path <dir>', "the host's directory in the repository; default hosts/<host>")
    .action(act((c: Context, url: string | undefined, o: InitOptions) => init(c, url, o)));
  add('validate [dir]', 'check every host of a fleet repository, offline', 'fairlead validate --format github')
    .option('--format <format>', 'text, github, gitlab or json')
    .option('--part <k/n>', 'every n-th host from the k-th on, for several CI jobs')
    .action(act((c: Context, where: string | undefined, o: ValidateOptions) => validate(c, where ?? '.', o)));
  add('render <host>', 'what a host comes to, layers merged', 'fairlead render edge-1 --origin')
    .option(...dir)
    .option('--facts <file>', 'JSON with the facts of the host, for templates')
    .option('--origin', 'where each value was written')
    .option('--format <format>', 'compose: each stack as `docker compose config --format json` prints it')
    .action(act((c: Context, host: string, o: RenderOptions) => render(c, host, o)));
  add('affected <base> <head>', 'the hosts that a change reaches', 'fairlead affected origin/main HEAD')
    .option(...dir)
    .action(act((c: Context, base: string, head: string, o: { dir: string }) => affected(c, base, head, o)));
  const secret = program.command('secret').description('encrypted files of a fleet repository').exitOverride();
  add('recipients [hosts...]', 'age recipients of hosts, or of this one', 'fairlead secret recipients edge-1', secret)
    .option(dir[0], 'the fleet repository; default: this host alone, or . where no agent is')
    .action(act((c: Context, hosts: string[], o: { dir?: string }) => recipients(c, hosts, o)));
  add('encrypt <file>', 'encrypt a file to hosts, as FILE.age', 'fairlead secret encrypt tls.key --role web', secret)
    .option(...dir)
    .option('--to <hosts...>', 'hosts that must read it')
    .option('--role <roles...>', 'every host with one of these roles')
    .option('-o, --output <file>', 'default FILE.age')
    .action(act((c: Context, file: string, o: EncryptOptions) => encrypt(c, file, o)));
}
