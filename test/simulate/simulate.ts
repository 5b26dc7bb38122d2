/**
 * `npm run simulate -- --hosts 10000`: simulates many hosts at a broker, with the agent's own report code, until Ctrl-C
 * (docs/testing.md, "A simulated fleet").
 */
import { execFileSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { durationMs } from '../../manifests-schema/duration.ts';
import { isHostName } from '../../manifests-schema/host-name.ts';
import { type FleetSettings, namesOf, startFleet } from './fleet.ts';

const USAGE = `usage: npm run simulate -- [--hosts 100] [--bad 3] [--broker mqtt://127.0.0.1:1883] [--username NAME] [--password-file FILE] [--ca FILE]
       [--prefix fairlead] [--fleet simulated] [--name edge] [--ref main] [--splay 60s] [--run 500ms] [--repairs 0] [--no-metrics]
       [--ramp 500] [--processes 2] [--for 10m] [--keep]`;
const OPTIONS = {
  hosts: { type: 'string', default: '100' },
  bad: { type: 'string', default: '3' },
  broker: { type: 'string', default: 'mqtt://127.0.0.1:1883' },
  username: { type: 'string' },
  'password-file': { type: 'string' },
  ca: { type: 'string' },
  prefix: { type: 'string', default: 'fairlead' },
  fleet: { type: 'string', default: 'simulated' },
  name: { type: 'string', default: 'edge' },
  ref: { type: 'string', default: 'main' },
  splay: { type: 'string', default: '60s' },
  run: { type: 'string', default: '500ms' },
  repairs: { type: 'string', default: '0' },
  'no-metrics': { type: 'boolean', default: false },
  ramp: { type: 'string', default: '500' },
  processes: { type: 'string', default: '2' },
  for: { type: 'string' },
  keep: { type: 'boolean', default: false },
} as const;
const MAX_HOSTS = 100_000;
const MAX_PROCESSES = 64;
/** File descriptors of a process besides its connections. */
const OTHER_FILES = 200;
const TELL_MS = 2_000;

class Wrong extends Error {}

/** Throws Wrong for invalid values. */
function settingsOf(argv: readonly string[]): { settings: FleetSettings; forMs: number | null; keep: boolean } {
  const { values } = parseArgs({ args: [...argv], options: OPTIONS });
  const number = (name: 'hosts' | 'bad' | 'ramp' | 'processes' | 'repairs', least: number, most: number): number => {
    const value = Number(values[name]);
    if (!Number.isInteger(value) || value < least || value > most)
      throw new Wrong(`--${name} takes a whole number from ${least} to ${most}, got ${values[name]}`);
    return value;
  };
  const hosts = namesOf(number('hosts', 1, MAX_HOSTS), values.name);
  if (!hosts.every(isHostName)) throw new Wrong(`--name makes names of hosts such as ${hosts[0]}, which is none`);
  const { username, ca, 'password-file': passwordFile } = values;
  return {
    settings: {
      hosts,
      badHosts: number('bad', 0, hosts.length),
      broker: {
        ...{ url: values.broker, namedIn: '--broker' },
        ...(username === undefined ? {} : { username }),
        ...(passwordFile === undefined ? {} : { passwordFile }),
        ...(ca === undefined ? {} : { ca }),
      },
      ...{ prefix: values.prefix, fleet: values.fleet, ref: values.ref, metrics: !values['no-metrics'], haste: 1 },
      ...{ splayMs: durationMs(values.splay), runMs: durationMs(values.run) },
      ...{ ramp: number('ramp', 1, 10_000), processes: number('processes', 1, MAX_PROCESSES) },
      repairsAnHour: number('repairs', 0, 3_600),
    },
    forMs: values.for === undefined ? null : durationMs(values.for),
    keep: values.keep,
  };
}

/** Maximum number of open files of a process started from here. */
const descriptorLimit = (): number => Number(execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).trim());

async function simulate(argv: readonly string[]): Promise<void> {
  const { settings, forMs, keep } = settingsOf(argv);
  const { hosts, processes, broker, fleet, prefix, ref } = settings;
  const limit = descriptorLimit();
  if (Math.ceil(hosts.length / processes) > limit - OTHER_FILES)
    throw new Wrong(
      `${hosts.length} hosts in ${processes} processes need more files than the ${limit} that a process may open; use more --processes, or \`ulimit -n 65536\``,
    );
  const began = Date.now();
  const say = (text: string) => console.log(`${((Date.now() - began) / 1_000).toFixed(1).padStart(7)} s  ${text}`);
  const leave = Promise.withResolvers<string>();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => leave.resolve(signal));
  if (forMs !== null) setTimeout(() => leave.resolve(`${forMs / 1_000} s are over`), forMs);

  say(
    `${hosts.length} hosts, ${hosts[0]} to ${hosts.at(-1)}, of fleet ${fleet} at ${broker.url}, in ${processes} processes`,
  );
  const simulated = startFleet(settings);
  if (simulated.bad.length > 0) say(`not well: ${simulated.bad.join(', ')}`);
  const flags = `--broker ${broker.url} --prefix ${prefix} --fleet ${fleet}`;
  let isOver = false;
  const over = leave.promise.then((why) => {
    isOver = true;
    return why;
  });
  let shown = '';
  let isTold = false;
  try {
    while (!isOver) {
      const { open, opened, told, rssBytes } = await simulated.counts();
      const newest = Object.entries(told).sort(([, a], [, b]) => b.at - a.at)[0];
      const commit = newest === undefined ? '' : `; ${newest[1].hosts} said commit ${newest[0].slice(0, 7)}`;
      const line = `${open} of ${hosts.length} connected${commit}`;
      if (line !== shown) say(`${line} (${opened} connections so far, ${Math.round(rssBytes / 1_048_576)} MB)`);
      shown = line;
      if (open === hosts.length && !isTold) {
        isTold = true;
        say(`all are there. Look at them: fairlead fleet status ${flags}`);
        say(`and move them:          fairlead notify ${flags} ${ref} "$(openssl rand -hex 20)"`);
      }
      await Promise.race([over, new Promise((resolve) => setTimeout(resolve, TELL_MS))]);
    }
    say(`${await over}: all say goodbye`);
  } finally {
    await simulated.stop();
  }
  if (keep) return say('what they retained stays on the broker, as of hosts that are offline');
  await simulated.clear();
  say('what they retained was taken away');
}

try {
  await simulate(process.argv.slice(2));
  process.exit(0);
} catch (thrown) {
  const isUsage =
    thrown instanceof Wrong ||
    thrown instanceof RangeError ||
    (thrown as { code?: unknown }).code?.toString().startsWith('ERR_PARSE_ARGS');
  console.error(`simulate: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  if (isUsage) console.error(USAGE);
  process.exit(isUsage ? 64 : 1);
}
