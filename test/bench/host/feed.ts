/** The progress of a sync, with times in milliseconds: requested and received on the host itself, over the agent's socket. */
import { NODE } from '../../lab/agent.ts';
import type { LabHost } from '../../lab/lab.ts';

/** One line of progress, and its time of arrival: milliseconds from the request on. */
export interface Heard {
  ms: number;
  line: { type: string; run?: { durationMs: number; sync: string } };
}

/** @param query of the request to `/v1/sync`, as its JSON body */
export async function sync(host: LabHost, query: Record<string, unknown> = {}): Promise<Heard[]> {
  const { stdout } = await host.exec([NODE, '-e', FEED, JSON.stringify(query)], { timeoutMs: 300_000 });
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Heard);
}

/** When the last action was done; NaN if there was none. */
export const lastAction = (heard: readonly Heard[]): number =>
  heard.findLast(({ line }) => line.type === 'action')?.ms ?? Number.NaN;

/**
 * Runs that find nothing to do, each after a pause as between two polls. All are requested by one process: the ten milliseconds
 * that a new process takes for its first requests are not the agent's.
 * @returns milliseconds of each, from the request to its end
 */
export async function quietSyncs(host: LabHost, times: number): Promise<number[]> {
  const { stdout } = await host.exec([NODE, '-e', QUIET, String(times)], { timeoutMs: 300_000 });
  const all = JSON.parse(stdout) as { ms: number; sync: string; changed: number }[];
  const wrong = all.find(({ sync, changed }) => sync !== 'synced' || changed > 0);
  if (wrong) throw new Error(`not a quiet run: ${JSON.stringify(wrong)}`);
  return all.slice(WARM_UP).map(({ ms }) => ms);
}

const WARM_UP = 3;
const PAUSE_MS = 300;

const QUIET = `const http = require('http');
const sync = () => new Promise((done, failed) => {
  const began = process.hrtime.bigint();
  const request = http.request({ socketPath: '/run/fairlead/agent.sock', method: 'POST', path: '/v1/sync' }, (response) => {
    let all = '';
    response.setEncoding('utf8').on('data', (chunk) => { all += chunk; }).on('end', () => {
      const ms = Number(process.hrtime.bigint() - began) / 1e6;
      const { run } = JSON.parse(all.trim().split('\\n').at(-1));
      done({ ms, sync: run.sync, changed: run.changed });
    });
  });
  request.on('error', failed).end('{}');
});
(async () => {
  const all = [];
  for (let i = 0; i < ${WARM_UP} + Number(process.argv[1]); i++) {
    await new Promise((done) => setTimeout(done, ${PAUSE_MS}));
    all.push(await sync());
  }
  console.log(JSON.stringify(all));
})();
`;

const FEED = `const http = require('http');
const began = process.hrtime.bigint();
const request = http.request({ socketPath: '/run/fairlead/agent.sock', method: 'POST', path: '/v1/sync' }, (response) => {
  let rest = '';
  response.setEncoding('utf8').on('data', (chunk) => {
    const lines = (rest + chunk).split('\\n');
    rest = lines.pop();
    for (const line of lines) console.log(JSON.stringify({ ms: Number(process.hrtime.bigint() - began) / 1e6, line: JSON.parse(line) }));
  });
});
request.end(process.argv[1]);
`;
