/** What a sync does and when, to the millisecond: asked for and heard on the host itself, over the agent's socket. */
import { NODE } from '../lab/agent.ts';
import type { LabHost } from '../lab/lab.ts';

/** One line of progress, and when it came: milliseconds from the request on. */
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

/** When the last action was done; NaN where there was none. */
export const lastAction = (heard: readonly Heard[]): number =>
  heard.findLast(({ line }) => line.type === 'action')?.ms ?? Number.NaN;

/** What a fresh Node takes to make its first request, ten milliseconds, is the measuring client's own: it asks for something else first. */
export const ASKED = `const asked = (next) => http.get({ socketPath: '/run/fairlead/agent.sock', path: '/v1/version' }, (response) => response.resume().on('end', next));`;

const FEED = `const http = require('http');
${ASKED}
asked(() => {
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
});
`;
