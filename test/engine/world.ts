/**
 * A host in memory behind the real engine and the real store: files that services read at their start, ports, outages, crashes.
 */

import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import path from 'node:path';
import type { TimeSync } from '../../agent/core/clock-doubt.ts';
import { eachGone, eachWork } from '../../agent/core/each.ts';
import { canonicalHash } from '../../agent/core/payload/hash.ts';
import type { Health, Provider, Source } from '../../agent/core/provider.ts';
import { type Provenance, unrecorded } from '../../agent/core/trust.ts';
import type { Checkout, Desired, Kind, ResourceId } from '../../agent/core/types.ts';
import type { AgentUpgrade } from '../../agent/core/version/agent-upgrade.ts';
import { derivedFrom } from '../../agent/engine/load/load.ts';
import { requestFor } from '../../agent/engine/run/create-run.ts';
import { type RunResult, reconcile } from '../../agent/engine/run/reconcile.ts';
import type { EngineDeps, Loaded, Outcome, RunRequest } from '../../agent/engine/types.ts';
import { createClockGuard } from '../../agent/engine/when/clock-guard.ts';
import { AgentError } from '../../agent/errors.ts';
import { KINDS } from '../../agent/kinds/index.ts';
import { silentLog } from '../../agent/log.ts';
import { openStore } from '../../agent/store/db.ts';
import { createDiskFullStore } from '../../agent/store/disk-full-store.ts';
import { createSnapshots } from '../../agent/store/snapshots.ts';
import { hostSettings } from '../../manifests-schema/host.ts';
import type { ReasonCode } from '../../manifests-schema/reasons.ts';
import { createPowerCut } from '../power-cut.ts';
import { inMemory } from '../scratch.ts';

export interface Spec {
  value: string;
  /** For a `service` only. */
  port?: number;
  /** The health that it will report. */
  health?: Health['state'];
  /** The code with which applying it fails. */
  fails?: ReasonCode;
  /** The code with which preparing it fails. */
  unprepared?: ReasonCode;
  onRollback?: 'run' | 'skip';
  notify?: ResourceId[];
  after?: ResourceId[];
}

/** Resource id → its declaration; `host` has the settings of host.yaml. */
export type Declaration = { host?: Record<string, unknown> } & { [id: ResourceId]: Spec };

interface Thing {
  value: string;
  port: number | undefined;
  health: Health['state'];
  /** For a service: the content of its files at its last start. */
  read: Record<string, string>;
  /** How often it was created or restarted. */
  starts: number;
}

/** Thrown into the engine where the process would have ended. */
export class Crash extends Error {}

export interface World {
  things: Map<ResourceId, Thing>;
  foreign: Set<ResourceId>;
  /** Service → files that changed with a notify to it since its last start. */
  owed: Map<ResourceId, Set<ResourceId>>;
  /** Kinds whose service is unreachable. */
  away: Set<Kind>;
  /** Called before and after each effect on the host or the store; may throw `Crash`. */
  point: (name: string) => void;
  time: number;
  /** Offset of the date, as after the clock was set. */
  skew: number;
  /** Whether a time server confirms the date. */
  timeSync: TimeSync;
  /** All writes to the store fail. */
  diskFull: boolean;
  gitAway: boolean;
  /** The repository answers, but delivers no files. */
  checkoutAway: boolean;
  /** Commits with an error in a manifest. */
  unreadable: Set<string>;
  /** A repository in place of the one in memory; its commits have a declaration as JSON in `hosts/a/x.yaml`. */
  source: Source | null;
  /** Installs other versions of the agent. */
  upgrade: AgentUpgrade | null;
  /** Directory of the state. */
  readonly dir: string;
  farEnd: 'answers' | 'refuses' | 'silent';
  broker: 'answers' | 'silent';
  /** Called for each resource that is applied. */
  onApply: () => void;
  onRemove: (id: ResourceId) => void;
  /** The commits that the daemon finds at its next start. */
  repository: string;
  runs: number;
  /** Jobs that ran, in order. */
  ran: ResourceId[];
  commit(id: string, declaration: Declaration | null): void;
  run(request?: Partial<RunRequest>): Promise<Outcome>;
  deps(): EngineDeps;
  /** The process is gone; the next run begins with a new one on the same disk. */
  crash(): void;
  /** Everything that the store wrote and did not sync is lost; to be followed by `crash`. */
  cutPower(): void;
  end(): void;
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** @param options.power  whether the power can be cut: tracking what is synced takes time */
export function createWorld({ power: isWatched = false } = {}): World {
  // In memory if possible: thousands of histories need no real disk.
  const dirs: string[] = [];
  const newDir = (): string => {
    const made = inMemory('world');
    dirs.push(made);
    return made;
  };
  let dir = newDir();
  /** The directory of the state after a power cut. */
  let power = createPowerCut(dir);
  /** Where that is, after one. */
  let left: string | null = null;
  const commits = new Map<string, Declaration | null>();
  let head = '';
  /** The previous run of this process. */
  let last: RunResult | null = null;
  let current: EngineDeps | null = null;
  let read: { commit: string; loaded: Loaded } | null = null;
  let hasTunnel = false;
  /** Interrupts the work of a process that ended: the next process finds it ended. */
  let ended: Promise<unknown> = Promise.resolve();

  const world: World = {
    things: new Map(),
    foreign: new Set(),
    owed: new Map(),
    away: new Set(),
    point: () => undefined,
    time: Date.parse('2026-03-01T12:00:00Z'),
    skew: 0,
    timeSync: 'no',
    diskFull: false,
    gitAway: false,
    checkoutAway: false,
    unreadable: new Set(),
    source: null,
    upgrade: null,
    dir,
    farEnd: 'answers',
    broker: 'answers',
    onApply: () => undefined,
    onRemove: () => undefined,
    repository: 'fake',
    runs: 0,
    ran: [],
    commit(id, declaration) {
      // Tests give an id different content.
      read = null;
      commits.set(id, declaration);
      head = id;
    },
    deps() {
      current ??= open();
      return current;
    },
    async run(request = {}) {
      await ended;
      world.runs++;
      const asked = { ...requestFor(new AbortController().signal), ...request };
      const result = await reconcile(world.deps(), asked, last);
      last = result;
      return { ...result.outcome, ...{ sync: result.run.sync } } as Outcome;
    },
    crash() {
      last = null;
      current?.store.close();
      ended = Promise.resolve(current?.store.inventory.copied());
      current = null;
      if (left === null) return;
      dir = left;
      left = null;
      power = createPowerCut(dir);
    },
    cutPower() {
      if (!isWatched) throw new Error('a world without `power`');
      left = newDir();
      power.cut(left);
    },
    end() {
      world.crash();
      for (const made of dirs) rmSync(made, { recursive: true, force: true, maxRetries: 10 });
    },
  };

  /** A firewall of this host blocks, or the tunnel that existed before is gone. */
  const isFirewalled = () =>
    world.things.get('file:/firewall')?.value === 'shut' || (hasTunnel && !world.things.has('service:p/tunnel'));
  /** No remote side answers. */
  const isCutOff = () => isFirewalled() || world.farEnd === 'silent';

  function open(): EngineDeps {
    const reviewed = new Set<string>();
    const store = openStore({
      dir,
      now: () => new Date(world.time),
      log: silentLog,
      ...(isWatched && { trace: power.trace }),
    });
    const clockGuard = createClockGuard({
      now: () => world.time + world.skew,
      sinceBoot: () => world.time,
      recorded: null,
      sync: async () => world.timeSync,
    });
    const providers = new Map<Kind, Provider>(
      (['file', 'service', 'job'] as const).map((kind) => [kind, provider(kind) as unknown as Provider]),
    );
    return {
      source: world.source ?? {
        id: `${world.repository}#main`,
        policy: () => world.repository,
        vouchesFor: (commit) => reviewed.has(commit),
        head: async () => {
          if (world.gitAway || isCutOff())
            throw new AgentError({ code: 'RepositoryUnreachable', phase: 'fetch', message: 'away' });
          return head;
        },
        review: async (commit) => {
          reviewed.add(commit);
          return { info: info(commit), hold: null, provenance: provenance(commit) };
        },
        async checkout(commit) {
          if (world.checkoutAway)
            throw new AgentError({ code: 'RepositoryUnreachable', phase: 'fetch', message: 'away' });
          return checkout(commit);
        },
      },
      // As in the agent: the last one is remembered.
      async load(given) {
        if (read?.commit !== given.info.commit) read = { commit: given.info.commit, loaded: load(given) };
        return read.loaded;
      },
      redact: (value) => value,
      kinds: KINDS,
      providers,
      store: createDiskFullStore(pointed(store), '/state'),
      stateDir: '/state',
      snapshots: createSnapshots(path.join(dir, 'accepted')),
      endpoints: [
        {
          name: 'repository',
          silence: 'rolls back',
          async probe(signal) {
            if (signal.aborted)
              throw new AgentError({ code: 'Stopped', phase: 'fetch', message: 'the agent was stopped', retry: true });
            if (isFirewalled())
              throw new AgentError({
                code: 'RepositoryUnreachable',
                phase: 'fetch',
                message: 'this host lets nothing out',
                reach: 'here',
              });
            if (isCutOff())
              throw new AgentError({
                code: 'RepositoryUnreachable',
                phase: 'fetch',
                reach: 'silent',
                message: 'no answer within 10 s',
              });
            if (world.farEnd === 'refuses')
              throw new AgentError({
                code: 'RepositoryUnreachable',
                phase: 'fetch',
                reach: 'answered',
                message: 'nothing listens there',
              });
          },
        },
        {
          name: 'broker',
          silence: 'is reported',
          async probe(signal) {
            if (!signal.aborted && world.broker === 'silent')
              throw new AgentError({
                code: 'BrokerUnreachable',
                phase: 'report',
                message: 'no answer',
                reach: 'silent',
              });
          },
        },
      ],
      clock: {
        now: () => new Date(world.time + world.skew),
        monotonic: () => world.time,
        async sleep(ms) {
          world.point('before sleep');
          world.time += ms;
          world.point('after sleep');
        },
      },
      clockDoubt: clockGuard.confirm,
      ...(world.upgrade === null ? {} : { upgrade: world.upgrade }),
      log: silentLog,
    };
  }

  /** The store, with a point before and after each of its writes. */
  function pointed(store: EngineDeps['store']): EngineDeps['store'] {
    const wrap = <T extends object>(name: string, target: T, writes: readonly string[]): T =>
      new Proxy(target, {
        get(from, key) {
          const member = Reflect.get(from, key) as unknown;
          if (typeof member !== 'function' || !writes.includes(String(key))) return member;
          return (...args: unknown[]) => {
            if (world.diskFull) throw Object.assign(new Error('database or disk is full'), { code: 'SQLITE_FULL' });
            world.point(`before ${name}.${String(key)}`);
            const answer = (member as (...a: unknown[]) => unknown).apply(from, args);
            world.point(`after ${name}.${String(key)}`);
            return answer;
          };
        },
      });
    return {
      ...store,
      inventory: wrap('inventory', store.inventory, ['intend', 'settle', 'forget']),
      commits: wrap('commits', store.commits, ['set', 'beginTrial', 'markBad', 'forgive']),
      runs: wrap('runs', store.runs, ['begin', 'finish']),
      outbox: wrap('outbox', store.outbox, ['push']),
      facts: wrap('facts', store.facts, ['set']),
    };
  }

  const info = (commit: string) => ({
    ref: 'main',
    commit,
    author: 'A',
    subject: commit,
    committedAt: '2026-03-01T00:00:00.000Z',
  });
  const provenance = (commit: string): Provenance => ({
    ...unrecorded(`${world.repository}#main`, commit),
    kind: 'branch',
    policy: world.repository,
  });
  function checkout(commit: string): Checkout {
    const declaration = commits.get(commit);
    const text = new TextEncoder().encode(JSON.stringify(declaration ?? {}));
    return {
      info: info(commit),
      hostPath: 'hosts/a',
      hostExists: declaration !== null,
      files: new Map([
        ['hosts/a/x.yaml', text],
        ['hosts/a/host.yaml', new TextEncoder().encode(JSON.stringify(declaration?.host ?? {}))],
      ]),
    };
  }

  function load({ files, info }: Checkout): Loaded {
    const { host, ...rest } = JSON.parse(new TextDecoder().decode(files.get('hosts/a/x.yaml'))) as Declaration;
    const resources = Object.entries(rest).map(
      ([id, spec]): Desired<Spec> => ({
        id: id as ResourceId,
        spec,
        hash: canonicalHash({ value: spec.value, port: spec.port }, sha256),
        after: spec.after ?? [],
        notify: spec.notify ?? [],
        origin: { file: 'hosts/a/x.yaml', line: 1, layer: 'hosts/a' },
      }),
    );
    const settings = hostSettings.parse(host ?? {});
    return {
      ...derivedFrom({ kinds: KINDS, resources, host: settings }, sha256),
      resources,
      issues: world.unreadable.has(info.commit)
        ? [{ file: 'hosts/a/x.yaml', line: 1, column: 1, key: '', message: 'is wrong', severity: 'error' }]
        : [],
      host: settings,
      labels: {},
      vars: new Map(),
      layers: ['hosts/a'],
      secrets: [],
      compose: {},
    };
  }

  function provider(kind: Kind): Provider<Spec, Thing> {
    const start = (id: ResourceId, spec: Spec) => {
      const holder = [...world.things].find(
        ([other, t]) => other !== id && spec.port !== undefined && t.port === spec.port,
      );
      if (holder)
        throw new AgentError({
          code: 'PortInUse',
          phase: 'apply',
          message: `port ${spec.port} is ${holder[0]}'s`,
        });
      const read = Object.fromEntries(
        [...world.things].filter(([f]) => f.startsWith('file:')).map(([f, t]) => [f, t.value]),
      );
      const starts = (world.things.get(id)?.starts ?? 0) + 1;
      world.owed.delete(id);
      hasTunnel ||= id === 'service:p/tunnel';
      world.things.set(id, { value: spec.value, port: spec.port, health: spec.health ?? 'ok', read, starts });
    };
    const effect = (name: string, act: () => void) => {
      world.point(`before ${name}`);
      act();
      world.point(`after ${name}`);
    };
    const fresh = new Set<ResourceId>();
    return {
      kind,
      claims: (spec) => (spec.port === undefined ? [] : [`port:tcp/${spec.port}`]),
      diff(want, seen) {
        if (kind === 'job')
          return seen?.mark?.hash === want.hash ? { op: 'none' } : { op: 'update', why: [{ field: 'run' }] };
        if (seen === undefined) return { op: 'create', why: [{ field: 'state', from: 'missing' }] };
        const same = seen.fact.value === want.spec.value && seen.fact.port === want.spec.port;
        return same
          ? { op: 'none' }
          : { op: 'replace', why: [{ field: 'value', from: seen.fact.value, to: want.spec.value }] };
      },
      health: (want, seen) =>
        kind === 'job'
          ? { state: 'ok', message: '' }
          : seen === undefined
            ? { state: 'bad', message: 'missing' }
            : { state: want.spec.health ?? 'ok', message: `is ${want.spec.health}` },
      async observe(ids) {
        fresh.clear();
        if (world.away.has(kind))
          throw new AgentError({
            code: 'EngineUnreachable',
            phase: 'observe',
            message: `${kind} is away`,
          });
        if (kind === 'job')
          return new Map(
            ids.map((id) => [id, { fact: { value: '', port: undefined, health: 'ok', read: {}, starts: 0 } }]),
          );
        return new Map(
          ids.flatMap((id) => (world.things.has(id) ? [[id, { fact: { ...(world.things.get(id) as Thing) } }]] : [])),
        );
      },
      async prepare(work) {
        const failed = work.filter((w) => w.want.spec.unprepared !== undefined);
        return new Map(
          failed.map(({ want }) => [
            want.id,
            new AgentError({
              code: want.spec.unprepared ?? 'PrepareFailed',
              phase: 'prepare',
              message: 'not prepared',
            }),
          ]),
        );
      },
      // As with the real one, a failure does not affect the others.
      ...(kind === 'file' && { together: ['apply', 'remove'] as const }),
      apply: (work) =>
        eachWork(work, async ({ want }) => {
          if (want.spec.fails)
            throw new AgentError({ code: want.spec.fails, phase: 'apply', message: 'does not work' });
          effect(`apply ${kind}`, () => {
            world.onApply();
            if (kind === 'job') world.ran.push(want.id);
            else start(want.id, want.spec);
            if (kind === 'job') fresh.add(want.id);
            for (const target of want.notify) world.owed.set(target, new Set(world.owed.get(target)).add(want.id));
          });
        }),
      async refresh(want) {
        // As with the real one, a job that ran in this run need not run again.
        if (kind === 'job' && fresh.delete(want.id)) return;
        effect(`refresh ${kind}`, () => {
          if (kind === 'job') world.ran.push(want.id);
          else start(want.id, want.spec);
        });
      },
      async release(id) {
        const thing = world.things.get(id);
        if (thing)
          effect(`release ${kind}`, () => world.things.set(id, { ...thing, port: undefined, value: '(set aside)' }));
      },
      remove: (gone) =>
        eachGone(gone, async ({ id }) => {
          if (world.foreign.has(id)) throw new Error(`removed something foreign: ${id}`);
          effect(`remove ${kind}`, () => {
            world.things.delete(id);
            world.owed.delete(id);
            world.onRemove(id);
          });
        }),
    };
  }
  return world;
}
