/**
 * How long the page of the fleet takes for 10,000 hosts on a stock mosquitto, and the cost of a flood of updates while somebody
 * scrolls.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { type BarePage, openBarePage } from '../../dashboard/bare-page.ts';
import { sixHosts } from '../../dashboard/hosts.ts';
import { startTrial, type Trial } from '../../dashboard/trial.ts';
import { median } from '../report/figure.ts';
import type { BenchRun } from '../report/runner.ts';

const HOSTS = { full: 10_000, quick: 1_000 };
const ROUNDS = { full: 5, quick: 2 };
/** Floods are long: each has many frames. */
const FLOODS = { full: 3, quick: 1 };
const UPDATES_A_SECOND = 1_000;
const FLOOD_SECONDS = 10;
const BATCH_MS = 20;

export async function dashboardBench({ isQuick, log, record }: BenchRun<'dashboard'>): Promise<void> {
  const pick = (one: { full: number; quick: number }) => (isQuick ? one.quick : one.full);
  const now = Date.now();
  const said = sixHosts(now).get('berlin-2') ?? {};
  const names = Array.from({ length: pick(HOSTS) }, (_, i) => `edge-${String(i).padStart(5, '0')}`);
  log(`${names.length} hosts; Chromium and the broker share this machine with who feeds them`);
  const trial = await startTrial({ hosts: new Map(names.map((name) => [name, said])) });
  try {
    for (let i = 0; i < pick(ROUNDS); i++) {
      const page = await openBarePage(trial.browser);
      const { ms, threadMs } = await load(page, trial.url, names.length);
      record('load', [ms]);
      record('load.cpu', [threadMs]);
      if (i < pick(FLOODS)) {
        const flood = await scrollInFlood(trial, page, names, said.status ?? '');
        record('updates', [flood.updates / flood.seconds]);
        record('frame', [flood.frameMs]);
        record('task', [flood.longestMs]);
        record('frames', [flood.frames / flood.seconds]);
        record('memory', [flood.pssMb]);
      }
      await page.close();
    }
  } finally {
    await trial.end();
  }
}

interface Load {
  ms: number;
  threadMs: number;
}

/** Resolves when the page shows every host and follows the broker live. */
const LIVE = `new Promise((resolve) => {
  const look = () => (document.querySelector('[role=status]')?.textContent === 'live' ? resolve() : setTimeout(look, 20));
  look();
})`;

async function load(page: BarePage, url: string, hosts: number): Promise<Load> {
  await page.send('Performance.enable', { timeDomain: 'threadTicks' });
  const loaded = new Promise<void>((resolve) => page.on('Page.loadEventFired', () => resolve()));
  const began = performance.now();
  await page.send('Page.navigate', { url });
  await loaded;
  await page.evaluate(LIVE);
  const ms = performance.now() - began;
  const { metrics } = await page.send<{ metrics: { name: string; value: number }[] }>('Performance.getMetrics');
  const head = await page.evaluate<string>("document.querySelector('h1').textContent");
  const expected = `None of ${hosts.toLocaleString('en')} hosts needs anybody`;
  if (head !== expected) throw new Error(`the page says: ${head}; expected: ${expected}`);
  return { ms, threadMs: (metrics.find(({ name }) => name === 'TaskDuration')?.value ?? Number.NaN) * 1_000 };
}

interface Flood {
  updates: number;
  seconds: number;
  frames: number;
  frameMs: number;
  longestMs: number;
  pssMb: number;
}

async function scrollInFlood(trial: Trial, page: BarePage, names: readonly string[], status: string): Promise<Flood> {
  const events: TraceEvent[] = [];
  page.on('Tracing.dataCollected', ({ value }: { value: TraceEvent[] }) => void events.push(...value));
  const includedCategories = ['toplevel', 'devtools.timeline', 'disabled-by-default-devtools.timeline'];
  await page.send('Tracing.start', { transferMode: 'ReportEvents', traceConfig: { includedCategories } });
  await page.evaluate('window.frames_ = 0; (function next() { window.frames_++; requestAnimationFrame(next); })()');
  const began = performance.now();
  let updates = 0;
  let isOver = false;
  const flood = (async () => {
    while (!isOver) {
      const due = ((performance.now() - began) / 1_000) * UPDATES_A_SECOND;
      const batch: Promise<void>[] = [];
      for (; updates < due; updates++) {
        const name = names[(updates * 7_919) % names.length] ?? '';
        batch.push(
          trial.crowd.say(name, 'status', status.replace(/"at":"[^"]*"/, `"at":"${new Date().toISOString()}"`)),
        );
      }
      await Promise.all(batch);
      await new Promise((resolve) => setTimeout(resolve, BATCH_MS));
    }
  })();
  while (performance.now() - began < FLOOD_SECONDS * 1_000) {
    await page.send('Input.dispatchMouseEvent', { type: 'mouseWheel', x: 600, y: 600, deltaX: 0, deltaY: 240 });
    await new Promise((resolve) => setTimeout(resolve, BATCH_MS));
  }
  const seconds = (performance.now() - began) / 1_000;
  const frames = await page.evaluate<number>('window.frames_');
  isOver = true;
  await flood;
  const done = new Promise<void>((resolve) => page.on('Tracing.tracingComplete', () => resolve()));
  await page.send('Tracing.end');
  await done;
  return { updates, seconds, frames, ...costsOf(events), pssMb: rendererPss() };
}

/** From Chromium's trace: times in microseconds; `tdur` is the thread's processor time. */
interface TraceEvent {
  name: string;
  ph: string;
  pid: number;
  tid: number;
  ts: number;
  dur?: number;
  tdur?: number;
}

const SCRIPT_AND_LAYOUT = [
  'FunctionCall',
  'FireAnimationFrame',
  'UpdateLayoutTree',
  'Layout',
  'TimerFire',
  'EventDispatch',
];
const FRAME_US = 1_000_000 / 60;

function costsOf(events: readonly TraceEvent[]): Pick<Flood, 'frameMs' | 'longestMs'> {
  const main = events.find(({ name }) => name === 'FireAnimationFrame');
  const own = events.filter(({ pid, tid }) => pid === main?.pid && tid === main?.tid);
  const tasks = own.filter(({ name }) => name === 'RunTask' || name === 'ThreadControllerImpl::RunTask');
  const longestMs = Math.max(0, ...tasks.map(({ tdur = 0 }) => tdur / 1_000));
  // Nested events count once: by the outermost.
  const work = own.filter(({ name, ph }) => ph === 'X' && SCRIPT_AND_LAYOUT.includes(name)).sort((a, b) => a.ts - b.ts);
  const frames = new Map<number, number>();
  let end = 0;
  for (const { ts, dur = 0, tdur = 0 } of work) {
    if (ts < end) continue;
    end = ts + dur;
    const frame = Math.floor(ts / FRAME_US);
    frames.set(frame, (frames.get(frame) ?? 0) + tdur / 1_000);
  }
  return { frameMs: median([...frames.values()]), longestMs };
}

/** The largest of Chromium's renderers, in MB (proc_pid_smaps_rollup(5)). */
function rendererPss(): number {
  const sizes = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('--type=renderer')) return [];
        return [Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0) / 1_024];
      } catch {
        return [];
      }
    });
  return Math.max(0, ...sizes);
}
