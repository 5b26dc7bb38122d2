/** Runs one case on a lab host: from a fresh agent with a repository of its own to a host without traces of it. */
import path from 'node:path';
import { expect } from 'vitest';
import { stringify } from 'yaml';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import { fairlead, fairleadJson } from '../lab/agent.ts';
import { type LabHost, until } from '../lab/lab.ts';
import type { FieldCase, Step } from './case.ts';

const WORK = '/srv/fleet';
const HOST_DIR = `${WORK}/hosts/edge-1`;
/** Patience is short, so that a case takes seconds; a case with a host.yaml of its own overrides it. */
const HOST_YAML = 'settle: {timeout: 20s, patience: 8s}\n';

/** Values that steps store for later ones. */
interface Memory {
  /** By name. */
  identities: Map<string, string>;
  /** The last commit: a status of an earlier one does not count. */
  commit: string;
}

/** @throws AssertionError with the step; the host is clean afterwards in any case */
export async function playCase(host: LabHost, { name, dir, agent, steps, cleanUp }: FieldCase): Promise<void> {
  await begin(host, agent);
  const memory: Memory = { identities: new Map(), commit: '' };
  try {
    for (const [i, step] of steps.entries()) await play(host, dir, step, `${name}, step ${i + 1}`, memory);
  } catch (thrown) {
    const told = await Promise.all(['status', 'resources'].map((command) => fairlead(host, command)));
    console.error(told.map(({ stdout, stderr }) => `${stdout}${stderr}`).join('\n'));
    throw thrown;
  } finally {
    await end(host, cleanUp);
  }
}

async function begin(host: LabHost, agent: Record<string, unknown>): Promise<void> {
  await host.sh(`rm -rf ${WORK}; git init -q -b main ${WORK}; mkdir -p ${HOST_DIR}
git -C ${WORK} config user.name Field; git -C ${WORK} config user.email field@example.com`);
  // Nothing happens by itself except what a case waits for: pauses after a failure, events and, every two seconds, the schedule.
  const yaml = { host: 'edge-1', repo: { url: WORK }, sync: { schedule: '*/2 * * * * *', splay: '0s' }, ...agent };
  await host.write('/etc/fairlead/agent.yaml', stringify(yaml), '0600');
}

/** @returns the commit's id */
async function commitDirectory(host: LabHost, local: string): Promise<string> {
  await host.sh(`rm -rf ${HOST_DIR}; mkdir -p ${HOST_DIR}`);
  await host.copyIn(`${local}/.`, HOST_DIR);
  await host.sh(
    `cd ${HOST_DIR}; [ -e host.yaml ] || cat > host.yaml
git -C ${WORK} add -A; git -C ${WORK} commit -q --allow-empty -m "${path.basename(local)}"`,
    { input: HOST_YAML },
  );
  await host.exec(['systemctl', 'start', 'fairlead.service']);
  return (await host.exec(['git', '-C', WORK, 'rev-parse', 'HEAD'])).stdout.trim();
}

async function play(host: LabHost, dir: string, step: Step, what: string, memory: Memory): Promise<void> {
  if ('commit' in step) {
    memory.commit = await commitDirectory(host, path.join(dir, step.commit));
    return;
  }
  if ('fairlead' in step) return runFairlead(host, step, what);
  if ('status' in step) return untilStatus(host, step, { what, commit: memory.commit });
  if ('host' in step) return runOnHost(host, step, what);
  if ('remember' in step) {
    for (const thing of step.remember) memory.identities.set(thing, await identityOf(host, thing));
    return;
  }
  const isToChange = 'changed' in step;
  for (const thing of isToChange ? step.changed : step.unchanged) {
    const before = memory.identities.get(thing);
    expect(before, `${what}: ${thing} was never remembered`).toBeDefined();
    const now = await identityOf(host, thing);
    if (isToChange) expect(now, `${what}: ${thing}`).not.toBe(before);
    else expect(now, `${what}: ${thing}`).toBe(before);
  }
}

async function runFairlead(host: LabHost, step: Extract<Step, { fairlead: unknown }>, what: string): Promise<void> {
  const { code, stdout, stderr } = await fairlead(host, ...step.fairlead);
  const said = `${stdout}${stderr}`;
  expect(code, `${what}: exit code of fairlead ${step.fairlead.join(' ')}, which said\n${said}`).toBe(step.exit);
  for (const pattern of step.says) expect(said, what).toMatch(new RegExp(pattern));
  for (const pattern of step.saysNot) expect(said, what).not.toMatch(new RegExp(pattern));
}

/** The parts of the status document that a case names; of lists each item, in order. */
async function untilStatus(
  host: LabHost,
  step: Extract<Step, { status: unknown }>,
  { what, commit }: { what: string; commit: string },
): Promise<void> {
  let last: StatusDocument | undefined;
  const fits = async () => {
    last = await fairleadJson<StatusDocument>(host, 'status').catch(() => undefined);
    return last?.desired?.commit === commit && isPart(last, step.status) ? true : undefined;
  };
  await until(what, step.within * 1_000, fits).catch(() => {
    const told = last && { sync: last.sync, health: last.health, message: last.message, problems: last.problems };
    expect(last, `${what}, after ${step.within} s: ${JSON.stringify(told)}`).toMatchObject(step.status);
    expect(last?.desired?.commit, `${what}: the commit that status tells of`).toBe(commit);
  });
}

/** Compares as vitest's `toMatchObject` does. */
function isPart(whole: unknown, part: unknown): boolean {
  if (Array.isArray(part))
    return Array.isArray(whole) && whole.length === part.length && part.every((item, i) => isPart(whole[i], item));
  if (part === null || typeof part !== 'object') return whole === part;
  if (whole === null || typeof whole !== 'object') return false;
  return Object.entries(part).every(([key, value]) => isPart((whole as Record<string, unknown>)[key], value));
}

async function runOnHost(host: LabHost, step: Extract<Step, { host: unknown }>, what: string): Promise<void> {
  const { prints } = step;
  if (prints === undefined) {
    await host.sh(step.host, { timeoutMs: step.within * 1_000 });
    return;
  }
  let last = '';
  const fits = async () => {
    last = (await host.sh(step.host, { check: false })).stdout.trim();
    return last === prints.trim() ? true : undefined;
  };
  await until(what, step.within * 1_000, fits).catch(() => expect(last, what).toBe(prints.trim()));
}

/** For a path its inode and change time, for a unit its last start, for anything else the container's id and start. */
async function identityOf(host: LabHost, thing: string): Promise<string> {
  const argv = thing.startsWith('/')
    ? ['stat', '-c', '%i %Z', thing]
    : /\.(service|timer|socket|path|mount)$/.test(thing)
      ? ['systemctl', 'show', '-p', 'InvocationID', '--value', thing]
      : ['docker', 'inspect', '-f', '{{.Id}} {{.State.StartedAt}}', thing];
  return (await host.exec(argv)).stdout.trim();
}

/** Releases what the case manages, and removes its traces. */
async function end(host: LabHost, cleanUp: string): Promise<void> {
  await host.sh(`cd ${WORK}; rm -rf hosts/edge-1; mkdir -p hosts/edge-1; echo 'decommission: true' > hosts/edge-1/host.yaml
git add -A; git commit -q -m 'The end'`);
  await fairlead(host, 'resume');
  await fairlead(host, 'sync', '--force', '--allow-prune');
  await host.sh(
    `systemctl stop fairlead.service
docker ps -aq | xargs -r docker rm -fv
docker volume ls -q | xargs -r docker volume rm -f
docker network prune -f
rm -rf /var/lib/fairlead
systemctl reset-failed
${cleanUp}`,
    { timeoutMs: 60_000 },
  );
}
