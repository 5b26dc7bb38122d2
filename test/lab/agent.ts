/** The agent under test on a lab host: installed as docs/install.md describes, controlled by its command line and the broker. */
import path from 'node:path';
import mqtt from 'mqtt';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import { type Infra, type LabHost, until } from './lab.ts';

/** The agent's own node, on the host. */
export const NODE = '/usr/lib/fairlead/node';
/** Counts the turns of the agent's event loop; `lab.stop` reads the result. */
const TURNS_PRELOAD = '/usr/lib/fairlead/turns.mjs';
const ROOT = path.join(import.meta.dirname, '../..');

export interface InstallOptions {
  repoUrl: string;
  /** node-cron expression; six fields begin with seconds. */
  schedule?: string;
  /** Commands that it accepts over the broker. */
  commands?: readonly string[];
  /** Further lines of agent.yaml. */
  more?: string;
}

/** Node, dist/, agent.yaml and the unit file; enabled and started. */
export async function installAgent(host: LabHost, options: InstallOptions): Promise<void> {
  await host.exec(['mkdir', '-p', '/usr/lib/fairlead', '/etc/fairlead']);
  await host.copyIn(path.join(ROOT, 'node_modules/node/bin/node'), NODE);
  await host.copyIn(`${path.join(ROOT, 'dist')}/.`, '/usr/lib/fairlead');
  await host.write(
    '/usr/local/bin/fairlead',
    '#!/bin/sh\nexec /usr/lib/fairlead/node /usr/lib/fairlead/fairlead.cjs "$@"\n',
    '0755',
  );
  await host.write('/etc/fairlead/agent.yaml', agentYaml(host, options), '0600');
  await host.exec(['cp', '/usr/lib/fairlead/fairlead.service', '/etc/systemd/system/fairlead.service']);
  // Benchmark and demo run the agent as it is.
  const isCounted = process.env.VITEST !== undefined && !host.isEmulated;
  const turns = isCounted ? `Environment=NODE_OPTIONS=--import=${TURNS_PRELOAD}\n` : '';
  if (isCounted) await host.copyIn(path.join(import.meta.dirname, 'turns.mjs'), TURNS_PRELOAD);
  // A test that kills the agent need not wait for the restart.
  await host.write('/etc/systemd/system/fairlead.service.d/lab.conf', `[Service]\nRestartSec=100ms\n${turns}`);
  await host.exec(['systemctl', 'daemon-reload']);
  await host.exec(['systemctl', 'enable', 'fairlead.service']);
  // A power cut takes what was not synced, and packages sync what they install. systemd calls an empty unit file masked.
  if (host.isEmulated) await host.exec(['sync'], { timeoutMs: 300_000 });
  await host.exec(['systemctl', 'start', 'fairlead.service'], { timeoutMs: 300_000 });
}

/** How the lab's tests run the agent: only on request, never by itself. */
export const agentYaml = (host: Pick<LabHost, 'name'>, options: InstallOptions): string =>
  [
    `host: ${host.name}`,
    `repo: {url: "${options.repoUrl}"}`,
    `sync: {schedule: "${options.schedule ?? '0 0 1 1 *'}", splay: 0s}`,
    `mqtt: {url: "mqtt://infra:1883"${options.commands ? `, commands: [${options.commands.join(', ')}]` : ''}}`,
    options.more ?? '',
    '',
  ].join('\n');

/** The command line on the host; the caller checks the exit code. */
export const fairlead = (host: LabHost, ...args: string[]) =>
  host.exec(['fairlead', ...args], { check: false, timeoutMs: 120_000 });

/** `fairlead … --json`, parsed. */
export async function fairleadJson<T>(host: LabHost, ...args: string[]): Promise<T> {
  const { stdout, stderr, code } = await fairlead(host, ...args, '--json');
  try {
    return JSON.parse(stdout) as T;
  } catch {
    throw new Error(`fairlead ${args.join(' ')} --json printed no JSON (exit ${code}): ${stdout}${stderr}`);
  }
}

/** A retained message as any client of the broker sees it, or null if none arrives in this time, on this topic or any other. */
export async function retained(infra: Infra, topic: string, waitSeconds = 10): Promise<string | null> {
  const { stdout, code } = await infra.exec(
    ['mosquitto_sub', '-V', 'mqttv5', '-h', '127.0.0.1', '-t', topic, '-C', '1', '-W', String(waitSeconds)],
    { check: false },
  );
  return code === 0 ? stdout.trimEnd() : null;
}

/** Waits for a retained status that satisfies `fits`; the error has the last status. */
export async function statusWhere(
  infra: Infra,
  host: string,
  what: string,
  fits: (status: StatusDocument) => boolean,
  timeoutMs = 150_000,
): Promise<StatusDocument> {
  let last: string | null = null;
  try {
    return await until(`status of ${host}: ${what}`, timeoutMs, async () => {
      last = await retained(infra, `fairlead/default/hosts/${host}/status`, 2);
      const status = last === null ? null : (JSON.parse(last) as StatusDocument);
      return status !== null && fits(status) ? status : undefined;
    });
  } catch (thrown) {
    throw new Error(`${thrown instanceof Error ? thrown.message : String(thrown)}; last: ${last}`);
  }
}

/**
 * Whether this status is from another process of the agent than that one, after a run of its own. Until then the broker has the
 * status of the previous process, and the new one repeats its findings.
 */
export const isOfAnother =
  (instance: string) =>
  ({ agent, run }: StatusDocument): boolean =>
    agent.instance !== instance && run !== null && run.startedAt >= agent.startedAt;

/** Identities that must not change if nothing is to be done: inodes, PIDs, container ids. */
export async function identities(
  host: LabHost,
  what: { files: string[]; units: string[]; containers: string[] },
): Promise<Record<string, string>> {
  // One command for each kind: on a slow host the start of a process takes the time.
  const lines = async (...argv: string[]) => (await host.exec(argv)).stdout.trim().split('\n');
  const found: Record<string, string> = {};
  if (what.files.length > 0) {
    const stats = await lines('stat', '-c', '%i %Y %a %U', '--', ...what.files);
    for (const [n, file] of what.files.entries()) found[file] = stats[n] ?? '';
  }
  if (what.units.length > 0) {
    const properties = 'MainPID,ActiveState,ExecMainStartTimestampMonotonic,ActiveEnterTimestampMonotonic';
    const shown = (await lines('systemctl', 'show', '-p', properties, ...what.units)).join('\n').split('\n\n');
    for (const [n, unit] of what.units.entries()) found[unit] = shown[n] ?? '';
  }
  if (what.containers.length > 0) {
    const inspected = await lines('docker', 'inspect', '-f', '{{.Id}} {{.State.StartedAt}}', ...what.containers);
    for (const [n, name] of what.containers.entries()) found[name] = inspected[n] ?? '';
  }
  return found;
}

/** The names whose identity differs between two answers of `identities`. */
export const differing = (before: Record<string, string>, after: Record<string, string>): string[] =>
  Object.keys(before)
    .filter((key) => before[key] !== after[key])
    .sort();

/** Everything that the broker retains below `fairlead/`, topic and payload, as text. */
export async function allRetained(infra: Infra): Promise<string> {
  const client = await mqtt.connectAsync(`mqtt://${await infra.address()}:1883`, { protocolVersion: 5 });
  try {
    const lines: string[] = [];
    const end = Promise.withResolvers<void>();
    client.on('message', (topic, payload) => {
      if (topic === END) end.resolve();
      else lines.push(`${topic} ${payload}`);
    });
    await client.subscribeAsync(END);
    await client.subscribeAsync('fairlead/#');
    // Published after the subscription, it arrives after all retained messages.
    await client.publishAsync(END, '', { qos: 1 });
    await end.promise;
    return lines.join('\n');
  } finally {
    await client.endAsync(true);
  }
}
const END = 'lab/end';
