/** A simulated fleet in processes of its own, so that its caller, such as a benchmark, keeps a processor to itself. */
import { type ChildProcess, fork } from 'node:child_process';
import path from 'node:path';
import { forgetHosts } from '../../agent/fleet/forget.ts';
import type { Counts, CrowdSettings } from './crowd.ts';
import type { Answer, Order } from './worker.ts';

export interface FleetSettings extends Omit<CrowdSettings, 'bad'> {
  /** Number of unwell hosts; they are spread over the fleet. */
  badHosts: number;
  processes: number;
}

export interface SimulatedFleet {
  /** Names of the unwell hosts. */
  readonly bad: readonly string[];
  /** Totals of all processes. Throws if one of them has ended. */
  counts(): Promise<Counts>;
  /** Waits until the counts match. Throws after `ms`, with the last counts, or if a process has ended. */
  until(what: string, ms: number, isSo: (counts: Counts) => boolean): Promise<Counts>;
  /** All publish `offline` and end. */
  stop(): Promise<void>;
  /** Ends at once, without a clean disconnect: the broker publishes the Last Wills. */
  kill(): void;
  /** Deletes what the hosts retained on the broker; to be called when they have stopped. */
  clear(): Promise<void>;
}

const WORKER = path.join(import.meta.dirname, 'worker.ts');
const POLL_MS = 100;
/** A worker is busy with thousands of connections. */
const ANSWER_MS = 300_000;
/** Each host has 4 s, and many disconnect at once. */
const STOP_MS = 300_000;
/** Young objects of ten thousand connections exceed the default size, and would be copied again and again. */
const NODE_FLAGS = ['--max-semi-space-size=32'];

export const namesOf = (hosts: number, name = 'edge'): string[] =>
  Array.from({ length: hosts }, (_, i) => `${name}-${String(i + 1).padStart(String(hosts).length, '0')}`);

export function startFleet({ badHosts, processes, ...settings }: FleetSettings): SimulatedFleet {
  const { hosts } = settings;
  const bad = Array.from({ length: Math.min(badHosts, hosts.length) }, (_, i) =>
    hosts.at(Math.floor(((i + 0.5) * hosts.length) / badHosts)),
  ).filter((host) => host !== undefined);
  let isEnding = false;
  let trouble: string | null = null;
  const workers = Array.from({ length: processes }, (_, at) => {
    const child = fork(WORKER, { execArgv: [...process.execArgv, ...NODE_FLAGS] });
    child.once('exit', (code, signal) => {
      if (!isEnding) trouble = `a process of the simulator ended by itself (${signal ?? `exit code ${code}`})`;
    });
    child.on('error', (error) => {
      trouble ??= `a process of the simulator cannot be reached: ${error.message}`;
    });
    // Each process simulates every n-th host, so that the fleet grows evenly.
    const own = hosts.filter((_, i) => i % processes === at);
    order(child, { type: 'start', settings: { ...settings, bad, hosts: own, ramp: settings.ramp / processes } });
    return child;
  });

  async function counts(): Promise<Counts> {
    if (trouble !== null) throw new Error(trouble);
    const parts = await Promise.all(
      workers.map(async (child) => {
        const answer = waitFor(child, 'counts', ANSWER_MS);
        order(child, { type: 'counts' });
        return (await answer).counts;
      }),
    );
    return parts.reduce(sum);
  }

  return {
    bad,
    counts,
    async until(what, ms, isSo) {
      const end = Date.now() + ms;
      for (;;) {
        const now = await counts();
        if (isSo(now)) return now;
        if (Date.now() > end)
          throw new Error(`waited ${ms / 1_000} s for ${what}: ${now.open} of ${hosts.length} hosts are connected`);
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
    },
    async stop() {
      isEnding = true;
      await Promise.all(
        workers.filter(isAlive).map(async (child) => {
          const exited = new Promise((resolve) => child.once('exit', resolve));
          order(child, { type: 'stop' });
          const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
          await exited;
          clearTimeout(late);
        }),
      );
    },
    kill() {
      isEnding = true;
      for (const child of workers.filter(isAlive)) child.kill('SIGKILL');
    },
    async clear() {
      const { broker, prefix, fleet } = settings;
      await forgetHosts({ broker, prefix, fleet, hosts });
    },
  };
}

const isAlive = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode === null && signalCode === null;

const order = (child: ChildProcess, what: Order): void => void child.send(what, () => undefined);

function waitFor<Type extends Answer['type']>(
  child: ChildProcess,
  type: Type,
  ms: number,
): Promise<Extract<Answer, { type: Type }>> {
  return new Promise((resolve, reject) => {
    const done = () => {
      clearTimeout(late);
      child.off('message', heard).off('exit', gone);
    };
    const heard = (answer: Answer) => {
      if (answer.type !== type) return;
      done();
      resolve(answer as Extract<Answer, { type: Type }>);
    };
    const gone = () => {
      done();
      reject(new Error('a process of the simulator has ended'));
    };
    const late = setTimeout(() => {
      done();
      reject(new Error(`a process of the simulator has not answered for ${ms / 1_000} s`));
    }, ms);
    child.on('message', heard).once('exit', gone);
  });
}

function sum(a: Counts, b: Counts): Counts {
  const told: Counts['told'] = { ...a.told };
  for (const [commit, { hosts, at }] of Object.entries(b.told)) {
    const before = told[commit] ?? { hosts: 0, at: 0 };
    told[commit] = { hosts: before.hosts + hosts, at: Math.max(before.at, at) };
  }
  return {
    ...{ started: a.started + b.started, open: a.open + b.open, opened: a.opened + b.opened, told },
    ...{ openedAt: Math.max(a.openedAt, b.openedAt), current: a.current + b.current },
    ...{ cpuMs: a.cpuMs + b.cpuMs, rssBytes: a.rssBytes + b.rssBytes },
  };
}
