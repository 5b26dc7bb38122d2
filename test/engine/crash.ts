/** Histories of commits, drifts, outages and crashes with the real engine and store, and the invariants after each. */
import type { ResourceId } from '../../agent/core/types.ts';
import { generator } from '../random.ts';
import { Crash, createWorld, type Declaration, type Spec, type World } from './world.ts';

export const DISTURBANCES = ['another sync is asked for', 'SIGTERM', 'kill -9', 'a power cut'] as const;
export type Disturbance = (typeof DISTURBANCES)[number];

/**
 * One run that is interrupted at its `at`-th effect or wait, and from then on: a killed process has no effect any more, and a
 * request to yield or to stop stays in force. After a kill or a stop the process is gone, and after a power cut everything that
 * the store wrote and did not sync is lost. Changes of the host stay: that is the worst case, because nothing records that they
 * are ours.
 * @returns the number of points of the run, and the name of the interrupted one; null if it had fewer points
 */
export async function disturbedRun(
  world: World,
  at: number,
  how: Disturbance,
): Promise<{ count: number; where: string | null }> {
  let count = 0;
  let where: string | null = null;
  const stopper = new AbortController();
  world.point = (name) => {
    count++;
    if (count === at) where = name;
    if (count < at) return;
    if (how === 'a power cut' && count === at) world.cutPower();
    if (how === 'kill -9' || how === 'a power cut') throw new Crash(name);
    if (how === 'SIGTERM') stopper.abort();
  };
  const superseded = () => where !== null && how === 'another sync is asked for';
  try {
    await world.run({ allowPrune: true, superseded, signal: stopper.signal });
  } catch (thrown) {
    if (!(thrown instanceof Crash)) throw thrown;
  }
  world.point = () => undefined;
  if (how !== 'another sync is asked for') world.crash();
  return { count, where };
}

/** Runs until nothing changes any more. @returns violated invariants; none if everything is correct */
export async function recover(world: World, declaration: Declaration): Promise<string[]> {
  world.point = () => undefined;
  world.away.clear();
  world.gitAway = false;
  world.diskFull = false;
  for (let i = 0; i < 6; i++) await world.run({ allowPrune: true });
  const last = await world.run({ allowPrune: true });
  const complaints = last.actions.map((a) => `still at work: ${a.op} ${a.id} ${a.result} ${a.error?.message ?? ''}`);
  const wanted = Object.entries(declaration).filter(([id]) => id !== 'host') as [ResourceId, Spec][];
  const lasting = wanted.filter(([id]) => !id.startsWith('job:'));
  for (const [id, spec] of lasting) {
    const thing = world.things.get(id);
    if (thing === undefined) complaints.push(`${id} is missing`);
    else if (thing.value !== spec.value || thing.port !== spec.port)
      complaints.push(`${id} is ${thing.value}, not ${spec.value}`);
    for (const source of world.owed.get(id) ?? []) complaints.push(`${id} was never started after ${source} changed`);
  }
  const ids = new Set(lasting.map(([id]) => id));
  for (const id of world.things.keys())
    if (!ids.has(id) && !world.foreign.has(id)) complaints.push(`${id} is an orphan`);
  const { store } = world.deps();
  const rows = store.inventory.list().map((r) => r.id);
  const known = wanted.map(([id]) => id).sort();
  if (JSON.stringify([...rows].sort()) !== JSON.stringify(known))
    complaints.push(`inventory has ${rows.join(', ')}, not ${known.join(', ')}`);
  if (store.inventory.pendingNotifies().length > 0) complaints.push('a notify is still pending');
  const seqs = store.outbox.peek(100_000).map((e) => e.seq);
  if (seqs.some((seq, i) => seq !== i + 1)) complaints.push(`event numbers have gaps: ${seqs.join(' ')}`);
  return complaints;
}

const FILES = ['a', 'b', 'c'];
const SERVICES = ['x', 'y', 'z'];

function randomDeclaration(random: () => number): Declaration {
  const pick = (n: number) => Math.floor(random() * n);
  const services = SERVICES.filter(() => random() < 0.7);
  const declared: Declaration = { 'file:/always': { value: '1' } };
  for (const name of FILES.filter(() => random() < 0.7)) {
    const notify = services.filter(() => random() < 0.5).map((s): ResourceId => `service:p/${s}`);
    declared[`file:/${name}`] = { value: String(pick(3)), notify };
  }
  const ports = [1, 2, 3, 4].sort(() => random() - 0.5);
  for (const [i, name] of services.entries())
    declared[`service:p/${name}`] = { value: String(pick(3)), ...(random() < 0.7 ? { port: ports[i] ?? 9 } : {}) };
  if (random() < 0.3) declared['job:j'] = { value: String(pick(3)) };
  return declared;
}

/** One random history. @returns violated invariants, and where it was interrupted */
export async function history(seed: number): Promise<{ complaints: string[]; interrupted: string[] }> {
  const random = generator(seed);
  const world = createWorld({ power: true });
  const interrupted: string[] = [];
  world.things.set('service:p/foreign', { value: 'mine', port: 99, health: 'ok', read: {}, starts: 1 });
  world.foreign.add('service:p/foreign');
  try {
    let declaration = randomDeclaration(random);
    const steps = 3 + Math.floor(random() * 5);
    for (let i = 0; i < steps; i++) {
      if (random() < 0.7) declaration = randomDeclaration(random);
      world.commit(`c${i}`, declaration);
      const mine = [...world.things.keys()].filter((id) => !world.foreign.has(id));
      const victim = mine[Math.floor(random() * mine.length)];
      const thing = victim && world.things.get(victim);
      const drift = random();
      if (victim && drift < 0.3) world.things.delete(victim);
      else if (victim && thing && drift < 0.5) world.things.set(victim, { ...thing, value: 'tampered' });
      if (random() < 0.2) world.away.add(random() < 0.5 ? 'service' : 'file');
      else world.away.clear();
      world.gitAway = random() < 0.15 && i > 0;
      world.diskFull = random() < 0.1 && i > 0;
      if (random() < 0.75) {
        const at = 1 + Math.floor(random() * 30);
        const how = DISTURBANCES[Math.floor(random() * DISTURBANCES.length)] ?? 'kill -9';
        const { where } = await disturbedRun(world, at, random() < 0.5 ? 'kill -9' : how);
        if (where !== null) interrupted.push(where);
      } else await world.run({ allowPrune: true });
    }
    return { complaints: await recover(world, declaration), interrupted };
  } finally {
    world.end();
  }
}
