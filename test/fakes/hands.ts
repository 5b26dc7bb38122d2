/**
 * The tools of a host in memory: files are real, below a directory that stands for `/`; systemctl and docker act on the fakes.
 */
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { createProviders } from '../../agent/kinds/index.ts';
import type { JobVerb } from '../../agent/system/systemd/systemd.ts';
import type { Hands } from '../contract/hands.ts';
import type { FakeHost } from './host.ts';
import { untilIn } from './until.ts';

const JOBS: Record<string, JobVerb> = { start: 'StartUnit', stop: 'StopUnit', restart: 'RestartUnit' };

export function handsOn(host: FakeHost): Hands {
  const until = untilIn(host.clock);
  const run = (...argv: string[]): Promise<boolean> => {
    const [program = '', ...args] = argv;
    if (program === 'systemctl') return systemctl(host, args);
    if (program === 'docker') return docker(host, args);
    if (program === 'sysctl') return sysctl(host.root, args);
    return real(host.root, program, args);
  };
  return {
    providers: createProviders({ ...host.options, owned: (id) => id !== 'unit:foreign.service' }),
    run,
    async act(...argv) {
      if (!(await run(...argv))) throw new Error(`${argv.join(' ')} failed`);
    },
    async write(file, text, mode = '0644') {
      fs.mkdirSync(path.dirname(host.root + file), { recursive: true });
      fs.writeFileSync(host.root + file, text);
      fs.chmodSync(host.root + file, Number.parseInt(mode, 8));
    },
    append: async (file, text) => fs.appendFileSync(host.root + file, text),
    until: (what, _limitMs, condition) => until(what, condition),
  };
}

/** Runs a program of this machine with paths below the host's root; the target of a new link stays as it is. */
function real(root: string, program: string, args: readonly string[]): Promise<boolean> {
  const [one = '', how, other] = args;
  // The target of an absolute link on this machine is not the target on that host.
  if (program === 'test' && how === '-ef') return Promise.resolve(targetOf(root + one) === other);
  const last = args.length - 1;
  const isPath = (arg: string, i: number) => arg.startsWith('/') && (program !== 'ln' || i === last);
  const mapped = args.map((arg, i) => (isPath(arg, i) ? root + arg : arg));
  return new Promise((resolve) => {
    execFile(program, mapped, (error) => resolve(error === null));
  });
}

/** `sysctl -w KEY=VALUE` */
async function sysctl(root: string, args: readonly string[]): Promise<boolean> {
  const [key = '', value = ''] = (args.at(-1) ?? '').split('=');
  fs.writeFileSync(`${root}/proc/sys/${key.replaceAll('.', '/')}`, `${value}\n`);
  return true;
}

function targetOf(link: string): string | null {
  const isLink = fs.lstatSync(link, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  return isLink ? fs.readlinkSync(link) : null;
}

async function systemctl(
  { systemd: fake, engine }: FakeHost,
  [verb = '', ...args]: readonly string[],
): Promise<boolean> {
  const units = args.filter((arg) => /\.[a-z]+$/.test(arg));
  // Services behind the providers, which are no units here.
  const [first] = units;
  if (first?.startsWith('dbus.')) return switched(verb, fake);
  if (first?.startsWith('docker.')) return switched(verb, engine);
  const { systemd } = fake;
  if (verb === 'daemon-reload') await systemd.reload();
  else if (verb === 'kill') for (const unit of units) fake.kill(unit);
  else if (verb === 'disable') for (const unit of units) await systemd.disable(unit);
  else if (verb === 'is-active') return units.every((unit) => fake.unit(unit).active === 'active');
  else if (verb === 'is-enabled') return (await systemd.fileState(first ?? '')) === 'enabled';
  else for (const unit of units) if ((await systemd.job(jobOf(verb), unit)) !== 'done') return false;
  return true;
}

function jobOf(verb: string): JobVerb {
  const job = JOBS[verb];
  if (job === undefined) throw new Error(`systemctl ${verb} is not known here`);
  return job;
}

function switched(verb: string, fake: { goAway(): void; comeBack(): void }): boolean {
  if (verb === 'stop') fake.goAway();
  else fake.comeBack();
  return true;
}

async function docker({ engine, root }: FakeHost, args: readonly string[]): Promise<boolean> {
  const { docker: client } = engine;
  const [noun = '', ...rest] = args;
  const [last = ''] = args.slice(-1);
  const command = noun === 'network' || noun === 'volume' ? `${noun} ${rest[0]}` : noun;
  switch (command) {
    case 'network inspect':
      return (await client.networks()).some((n) => n.Name === last);
    case 'network rm': {
      await client.removeNetwork(last);
      return true;
    }
    case 'network disconnect': {
      await client.disconnect(rest[1] ?? '', last);
      return true;
    }
    case 'volume inspect':
      return (await client.volumes()).some((v) => v.Name === last);
    case 'rm': {
      await client.remove(last, { volumes: false });
      return true;
    }
    case 'kill': {
      await client.stop(last, 0);
      return true;
    }
    case 'exec': {
      // `cat FILE`: a mounted file is read at its source.
      const info = await client.inspect(rest[0] ?? '');
      const mount = info?.Mounts.find((m) => last.startsWith(`${m.Destination}/`));
      const file = mount && mount.Source + last.slice(mount.Destination.length);
      return info?.State.Running === true && file !== undefined && fs.existsSync(root + file);
    }
    default:
      throw new Error(`docker ${command} is not known here`);
  }
}
