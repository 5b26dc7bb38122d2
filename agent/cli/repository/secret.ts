/** `fairlead secret recipients` and `fairlead secret encrypt`: age recipients of hosts, and files for them. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { readChain } from '../../core/render/layers.ts';
import { AgentError } from '../../errors.ts';
import { whyUnread } from '../../reading.ts';
import { type Fleet, type FleetHost, openFleet, settingsOf } from '../../repo/fleet.ts';
import { openPlain } from '../../repo/tree.ts';
import { requireHosts, unknownHost } from '../../repo/unknown-host.ts';
import { encryptAge } from '../../secrets/age.ts';
import { type Context, EXIT } from '../context.ts';
import { table } from '../text/table.ts';

interface Recipient {
  host: string;
  path: string;
  recipient: string | null;
  roles: string[];
}

/** On a host, without names: its own recipient. In a repository: those of the named hosts, or of all. */
export async function recipients(c: Context, names: readonly string[], options: { dir?: string }): Promise<number> {
  const own = names.length === 0 && options.dir === undefined ? await c.deps.ownRecipient(c.options) : null;
  if (own !== null) {
    c.print({ schema: 1, recipients: [{ host: null, path: null, recipient: own, roles: [] }] }, () => own);
    return EXIT.ok;
  }
  const { fleet, all } = await readRecipients(options.dir ?? '.').catch((thrown: unknown) => {
    // Only root can read the keys of this host.
    if (options.dir !== undefined || !(thrown instanceof AgentError) || thrown.code !== 'NoRepository') throw thrown;
    throw failed(`${thrown.message}; for the recipient of this host run it there as root`);
  });
  const found = names.length === 0 ? all : names.map((name) => pick(fleet, all, name));
  c.print({ schema: 1, recipients: found }, () =>
    table(
      ['HOST', 'RECIPIENT'],
      found.map((r) => [r.host, r.recipient ?? 'none: host.yaml has no `age:`']),
      // A truncated recipient would be useless.
      { columns: Number.POSITIVE_INFINITY, style: c.style },
    ),
  );
  return found.every((r) => r.recipient !== null) ? EXIT.ok : EXIT.bad;
}

export interface EncryptOptions {
  dir: string;
  to?: string[];
  role?: string[];
  /** age recipients of people, who can encrypt the file again when a host has lost its key. */
  recipient?: string[];
  output?: string;
}

/** The clear text comes by a pipe, so that it need not lie in any file. */
const STDIN = '-';
const STDOUT = '-';

function read(file: string | number, name: string): Uint8Array {
  try {
    return readFileSync(file);
  } catch (thrown) {
    throw failed(`cannot read ${name}: ${whyUnread(thrown)}`);
  }
}

/** Writes FILE.age, for every named host and every host of every named role. */
export async function encrypt(c: Context, file: string, options: EncryptOptions): Promise<number> {
  const { to = [], role: roles = [], recipient: people = [] } = options;
  if (to.length + roles.length + people.length === 0) {
    c.complain('nobody to encrypt to; name hosts with --to HOST or --role ROLE');
    return EXIT.usage;
  }
  const wrong = people.find((one) => !/^age1[0-9a-z]{58}$/.test(one));
  if (wrong !== undefined) {
    c.complain(`${wrong} is no age recipient (age1…); age-keygen -y KEYFILE prints that of a key`);
    return EXIT.usage;
  }
  const { fleet, all } = await readRecipients(options.dir);
  const chosen = new Map<string, Recipient>();
  for (const name of to) {
    const recipient = pick(fleet, all, name);
    chosen.set(recipient.path, recipient);
  }
  for (const role of roles) {
    const having = all.filter((r) => r.roles.includes(role));
    if (having.length === 0) throw failed(`no host has the role \`${role}\`, so nobody could decrypt the file`);
    for (const recipient of having) chosen.set(recipient.path, recipient);
  }
  const without = [...chosen.values()].filter((r) => r.recipient === null).map((r) => r.host);
  if (without.length > 0)
    throw failed(
      `${without.join(', ')}: no \`age:\` in host.yaml; \`fairlead secret recipients\` on the host prints it`,
    );
  const hosts = [...chosen.values()].map((r) => r.host).sort();
  const keys = [...new Set([...[...chosen.values()].map((r) => r.recipient ?? ''), ...people])].sort();
  const isPiped = file === STDIN;
  const output = options.output ?? (isPiped ? STDOUT : `${file}.age`);
  const clear = read(isPiped ? 0 : file, isPiped ? 'the standard input' : file);
  // An empty input from a failed program in a pipe would replace the secret by nothing.
  if (isPiped && clear.length === 0) throw failed('the standard input is empty; nothing was encrypted');
  const sealed = await encryptAge(clear, keys);
  if (output === STDOUT) {
    c.write(sealed.trimEnd());
    return EXIT.ok;
  }
  try {
    writeFileSync(output, sealed);
  } catch (thrown) {
    throw failed(`cannot write ${output}: ${whyUnread(thrown)}`);
  }
  const keep = isPiped ? '' : ` Keep ${path.basename(file)} out of the repository.`;
  const document = { schema: 1, file: output, hosts, recipients: keys };
  c.print(document, () => `${output}: encrypted to ${[...hosts, ...people].join(', ')}.${keep}`);
  return EXIT.ok;
}

async function readRecipients(dir: string): Promise<{ fleet: Fleet; all: Recipient[] }> {
  const fleet = await openFleet(openPlain(dir));
  requireHosts(fleet);
  return { fleet, all: await Promise.all(fleet.hosts.map((host) => recipientOf(fleet, host))) };
}

async function recipientOf(fleet: Fleet, host: FleetHost): Promise<Recipient> {
  const files = await settingsOf(fleet, host);
  const chain = readChain(files, host.path, fleet.cache);
  const roles = chain.layers.filter((l) => l.kind === 'role').map((l) => l.dir.slice('roles/'.length));
  return { host: host.name, path: host.path, recipient: chain.host.age ?? null, roles };
}

function pick(fleet: Fleet, all: readonly Recipient[], name: string): Recipient {
  const found = all.find((r) => r.host === name || r.path === name);
  if (found === undefined) throw unknownHost(fleet, name);
  return found;
}

const failed = (message: string) => new AgentError({ code: 'EncryptFailed', phase: 'load', message });
