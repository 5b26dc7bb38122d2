/**
 * Random histories of a server that lists any refs, of a person, of restarts and of lost databases: a model that knows the
 * commits predicts the state of the host after each run. Nothing unsigned is ever applied, nothing older except with a person's
 * permission, and everything else at once.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hold } from '../../agent/control/holds.ts';
import type { Outcome } from '../../agent/engine/types.ts';
import { createSource, type GitSource } from '../../agent/git/source.ts';
import type { Exec } from '../../agent/git/trust/signature.ts';
import { packet } from '../../agent/git/wire/packet.ts';
import { silentLog } from '../../agent/log.ts';
import { exec } from '../../agent/system/exec.ts';
import { type Backend, createFixture, type Fixture, scratch, startBackend } from '../unit/git/backend.ts';
import { createAuthor, createSigners, type Signers } from '../unit/git/signing.ts';
import { createWorld, type World } from './world.ts';

interface Commit {
  id: string;
  /** The content of the host's file at this commit. */
  name: string;
  signed: boolean;
  /** Names of all ancestors. */
  before: ReadonlySet<string>;
}

interface Tag {
  oid: string;
  /** The name that was signed. */
  name: string;
  target: Commit;
  signed: boolean;
  /** Day of the tagger's date. */
  day: number;
}

/** The server lists a branch, or a tag object under some name, perhaps with another name for it. */
interface Listed {
  kind: 'branch' | 'tag';
  name: string;
  commit: Commit;
  tag: Tag | null;
  alias: string | null;
}

let root: string;
let backend: Backend;
let signers: Signers;
let fixture: Fixture;
const commits = new Map<string, Commit>();
const tags: Tag[] = [];
let listed: readonly Listed[] = [];

beforeAll(async () => {
  root = scratch();
  backend = await startBackend(root);
  signers = createSigners(root);
  fixture = createFixture(root);
  const author = createAuthor(fixture, signers, 'hosts/a/x.yaml');
  const add = (name: string, parent: string | null, by: string | null = 'ann') => {
    const from = parent === null ? null : (commits.get(parent) ?? null);
    if (from) author.git('checkout', '-q', '--detach', from.id);
    const id = author.commit(JSON.stringify({ 'file:/a': { value: name } }), by);
    const before = new Set(from ? [from.name, ...from.before] : []);
    commits.set(name, { id, name, signed: by === 'ann', before });
  };
  // a - b - c - d, with an unsigned and a foreign commit on top of c, and a signed branch beside it.
  for (const [
    name,
    parent,
  ] of [['a', null], ['b', 'a'], ['c', 'b'], ['d', 'c'], ['side', 'a'], ['far', 'side']] as const) // biome-ignore format: a table
    add(name, parent);
  add('unsigned', 'c', null);
  add('foreign', 'c', 'eve');
  for (const [name, target, day, by] of [
    ['v1.0.0', 'a', 1, 'ann'],
    ['v1.1.0', 'b', 2, 'ann'],
    ['v1.2.0', 'side', 3, 'ann'],
    ['v1.10.0', 'd', 4, 'ann'],
    ['v1.11.0', 'unsigned', 5, 'ann'],
    ['v1.12.0', 'd', 5, 'eve'],
    ['v1.3.0', 'd', 8, 'ann'],
    ['v1.5.0', 'c', 7, 'ann'],
    ['stable', 'b', 1, 'ann'],
    ['stable', 'c', 4, 'ann'],
    ['stable', 'd', 3, 'ann'],
    ['stable', 'far', 6, 'ann'],
    ['main', 'a', 1, 'ann'],
    ['lab', 'far', 9, 'ann'],
  ] as const) {
    const commit = commits.get(target);
    if (!commit) throw new Error(target);
    const oid = author.tag(name, commit.id, `2026-01-0${day}T00:00:00Z`, by);
    tags.push({ oid, name, target: commit, signed: by === 'ann', day });
    author.git('update-ref', `refs/kept/${oid}`, oid);
  }
  for (const { id } of commits.values()) author.git('update-ref', `refs/kept/${id}`, id);
  backend.intercept((_, response, body) => {
    if (!body.includes('command=ls-refs')) return false;
    const lines = listed.map(({ kind, name, commit, tag, alias }) => {
      const attributes = `${alias ? ` symref-target:refs/tags/${alias}` : ''}${tag ? ` peeled:${commit.id}` : ''}`;
      return packet(`${tag?.oid ?? commit.id} refs/${kind === 'branch' ? 'heads' : 'tags'}/${name}${attributes}\n`);
    });
    response.writeHead(200, { 'content-type': 'application/x-git-upload-pack-result' });
    response.end(Buffer.concat([...lines, Buffer.from('0000')]));
    return true;
  });
});
afterAll(async () => {
  await backend.stop();
  rmSync(root, { recursive: true, force: true });
});

/** OpenSSH is called once for each signature. */
const answers = new Map<string, ReturnType<Exec>>();
const remembering: Exec = (argv, options) => {
  const file = argv[argv.indexOf('-s') + 1] ?? '';
  const asked = argv.map((word) => (word === file ? readFileSync(file, 'utf8') : word));
  const key = createHash('sha256').update(JSON.stringify(asked)).update(options.input).digest('hex');
  const answer = answers.get(key) ?? exec(argv, options);
  answers.set(key, answer);
  return answer;
};

const version = (name: string) => Number(/^v1\.(\d+)\.0$/.exec(name)?.[1] ?? Number.NaN);

/** The target of a ref in the server's list, by the rules of git and of docs/git.md. */
function named(ref: string): Listed | null {
  if (ref === 'v1.*') {
    const all = listed.filter((l) => l.kind === 'tag' && version(l.name) >= 0);
    return all.sort((x, y) => version(y.name) - version(x.name))[0] ?? null;
  }
  const of = (kind: Listed['kind']) => listed.find((l) => l.kind === kind && l.name === ref) ?? null;
  return of('branch') ?? of('tag');
}

const isTrusted = ({ kind, name, commit, tag }: Listed): boolean =>
  kind === 'branch' ? commit.signed : tag?.signed === true && tag.name === name;

function isOlder(ref: string, next: Listed, newest: Listed): boolean {
  const descends = next.commit === newest.commit || next.commit.before.has(newest.commit.name);
  if (next.kind === 'branch') return !descends;
  if (ref === 'v1.*' && version(next.name) !== version(newest.name)) return version(next.name) < version(newest.name);
  if (next.commit === newest.commit) return false;
  return !descends || (next.tag?.day ?? 0) < (newest.tag?.day ?? 0);
}

type Step =
  | { do: 'list'; listed: readonly Listed[] }
  | { do: 'allow' }
  | { do: 'restart' }
  | { do: 'lose history' }
  | { do: 'resume' }
  | { do: 'rollback'; to: Commit };

const REFS = ['main', 'stable', 'v1.*'] as const;
type Ref = (typeof REFS)[number];

/** Lists that a server may send for `ref`: mostly something that the ref can name, over any commit and tag object there is. */
function lines(ref: Ref): fc.Arbitrary<readonly Listed[]> {
  const alias = fc.constantFrom(null, null, 'lab', 'v1.0.0');
  const branch = (name: string) =>
    fc.tuple(fc.constantFrom(...commits.values()), alias).map(
      ([commit, a]): Listed => ({ kind: 'branch', name, commit, tag: null, alias: a }), // biome-ignore format: one shape
    );
  const tagged = (among: readonly Tag[], name?: string) =>
    fc.tuple(fc.constantFrom(...among), alias).map(
      ([tag, a]): Listed => ({ kind: 'tag', name: name ?? tag.name, commit: tag.target, tag, alias: a }), // biome-ignore format: one shape
    );
  const fits = ({ name }: Tag) => (ref === 'v1.*' ? version(name) >= 0 : name === ref);
  const own = ref === 'main' ? branch('main') : tagged(tags.filter(fits));
  const other = fc.oneof(
    ref === 'main' ? tagged(tags.filter(fits)) : branch('stable'),
    tagged(tags, ref === 'v1.*' ? 'v1.9.0' : ref),
    tagged(tags),
  );
  const line = fc.oneof({ weight: 6, arbitrary: own }, { weight: 1, arbitrary: other });
  return fc.array(line, { minLength: 1, maxLength: 2 });
}

/** @returns steps, each followed by a run */
const steps = (ref: Ref): fc.Arbitrary<Step[]> =>
  fc.array(
    fc.oneof(
      { weight: 8, arbitrary: lines(ref).map((all): Step => ({ do: 'list', listed: all })) },
      { weight: 1, arbitrary: fc.constant<Step>({ do: 'allow' }) },
      { weight: 1, arbitrary: fc.constantFrom<Step>({ do: 'restart' }, { do: 'lose history' }) },
      { weight: 2, arbitrary: fc.constantFrom(...commits.values()).map((to): Step => ({ do: 'rollback', to })) },
      { weight: 2, arbitrary: fc.constant<Step>({ do: 'resume' }) },
    ),
    { minLength: 4, maxLength: 12 },
  );

/** Follows one ref through a history, and compares the host with the model after each run. */
async function follow(ref: Ref, history: readonly Step[]): Promise<void> {
  const world = createWorld();
  const open = (): GitSource => {
    world.crash();
    const source = createSource({
      ...{ url: backend.url('fleet.git'), ref, path: 'hosts/a', env: {}, exec: remembering, log: silentLog },
      ...{ gitdir: path.join(root, 'store.git'), verify: { allowedSigners: signers.allowedSigners, mode: 'head' } },
    });
    world.source = source;
    return source;
  };
  let source = open();
  listed = [];
  let newest: Listed | null = null;
  let value: string | undefined;
  let pin: Commit | null = null;
  /** Accepted by a signed tag: as good as signed itself. */
  const vouched = new Set<string>();
  try {
    for (const step of history) {
      if (step.do === 'list') listed = step.listed;
      else if (step.do === 'restart') source = open();
      else if (step.do === 'lose history') {
        loseHistory(world);
        source = open();
        pin = null;
      } else if (step.do === 'resume') {
        await hold(world.deps(), 'resume', {});
        pin = null;
      } else if (step.do === 'rollback') {
        const isGood = step.to.signed || vouched.has(step.to.name);
        const asked = hold(world.deps(), 'rollback', { commit: step.to.id });
        if (isGood) await asked;
        else await expect(asked).rejects.toMatchObject({ name: 'AgentError' });
        if (isGood) pin = step.to;
      }
      const next = named(ref);
      const allowRewind = step.do === 'allow';
      const outcome = (await world.run({ allowRewind })) as Outcome & { sync: string };
      // Fetched objects are kept for all histories: the server is asked for them once.
      await source.settled();
      // The server may give a commit any name if the host runs that commit already.
      const runsIt = next !== null && next.commit === newest?.commit && next.commit.name === value;
      const kindChanged = newest !== null && next !== null && newest.kind !== next.kind && !runsIt;
      const older = newest !== null && next !== null && isOlder(ref, next, newest) && !allowRewind;
      const passes = next !== null && isTrusted(next) && !kindChanged && !older;
      const now = world.things.get('file:/a')?.value;
      const said = `${ref}: ${JSON.stringify({ outcome: outcome.reason, value, now, next: next?.name })}`;
      if (pin !== null) expect([value, pin.name, ...(passes ? [next.commit.name] : [])], said).toContain(now);
      else if (passes) expect(now, said).toBe(next.commit.name);
      else expect(now, said).toBe(value);
      if (passes && (pin === null || pin === next.commit)) {
        if (newest?.commit !== next.commit) newest = next;
        if (next.kind === 'tag') vouched.add(next.commit.name);
      }
      value = now;
    }
  } finally {
    world.end();
  }
}

function loseHistory(world: World): void {
  world.crash();
  for (const name of readdirSync(world.dir)) if (name.startsWith('history.db')) rmSync(path.join(world.dir, name));
}

test.each(REFS)(
  'for any lists of a server, a host that follows %s is in the state that the model predicts',
  async (ref) => {
    await fc.assert(
      fc.asyncProperty(steps(ref), (history) => follow(ref, history)),
      { numRuns: Number(process.env.FAIRLEAD_RUNS ?? 20) },
    );
  },
);
