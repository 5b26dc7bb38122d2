/** Drift → repaired, by event, and the cost of watching a whole lab host. */
import { setTimeout as pause } from 'node:timers/promises';
import { fairlead, installAgent, statusWhere } from '../../lab/agent.ts';
import { startLab } from '../../lab/lab.ts';
import { HEALTH_BY_SECONDS as HEALTH } from '../../lab/story.ts';
import type { BenchRun } from '../report/runner.ts';
import { idleCpu, idleSeconds } from './cpu.ts';

interface Size {
  files: number;
  units: number;
  services: number;
}

const SIZE: Size = { files: 1000, units: 50, services: 20 };
const QUICK_SIZE: Size = { files: 100, units: 5, services: 3 };
const QUICK_ROUNDS = 5;
const REST_SECONDS = 15;
const QUICK_REST_SECONDS = 3;
/** Figure, argument of the script below, and number of repetitions. */
const ACTS = [
  ['file-edited', 'file edited', 100],
  ['file-deleted', 'file deleted', 100],
  ['unit-stopped', 'unit stopped', 100],
  ['container-killed', 'container killed', 60],
  ['container-removed', 'container removed', 60],
] as const;

export async function driftBench({ isQuick, log, record }: BenchRun<'drift'>): Promise<void> {
  const size = isQuick ? QUICK_SIZE : SIZE;
  const lab = await startLab({ name: 'bench-drift', hosts: [{ name: 'edge-1' }], log });
  try {
    const host = lab.host('edge-1');
    const repo = await lab.infra.createRepo('fleet');
    await repo.commit(declared(size), 'All that is watched');
    await installAgent(host, { repoUrl: repo.httpUrl });
    await statusWhere(lab.infra, 'edge-1', 'synced', (s) => s.sync === 'synced' && s.health === 'healthy', 300_000);
    for (const [figure, what, rounds] of ACTS) {
      const argv = ['/usr/lib/fairlead/node', '-e', breakScript(size), what, String(isQuick ? QUICK_ROUNDS : rounds)];
      const { stdout } = await host.exec(argv, { timeoutMs: 590_000 });
      record(figure, JSON.parse(stdout) as number[]);
    }
    await fairlead(host, 'sync');
    // The agent has finished with earlier drifts by then.
    await pause((isQuick ? QUICK_REST_SECONDS : REST_SECONDS) * 1_000);
    record('cpu', await idleCpu(host, idleSeconds(isQuick)));
    log(`${size.files} files, ${size.units} units and ${size.services} services with healthchecks were watched`);
  } finally {
    await lab.stop();
  }
}

const declared = ({ files, units, services }: Size): Record<string, string> => ({
  'hosts/edge-1/files.yaml': 'files: {/srv/bench: {source: tree}}\n',
  ...Object.fromEntries(
    Array.from({ length: files }, (_, i) => [`hosts/edge-1/tree/d${i % 10}/f${i}`, `file ${i}\n`.repeat(20)]),
  ),
  'hosts/edge-1/units.yaml': `units:\n${Array.from({ length: units }, (_, i) => `  bench-${i}.service:\n    content: "[Service]\\nExecStart=/bin/sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n"\n    enabled: true\n    state: started\n`).join('')}`,
  'hosts/edge-1/bench/compose.yaml': `services:\n${Array.from({ length: services }, (_, i) => `  s${i}:\n    image: infra:5000/app:1\n    ${HEALTH.replace('interval: 1s', 'interval: 5s')}\n`).join('')}`,
});

/** Runs on the host: breaks one resource after another and prints how many ms the repair of each took. */
const breakScript = ({
  units,
  services,
}: Size): string => `const fs = require('fs'), http = require('http'), { execFileSync } = require('child_process');
const [what, rounds] = [process.argv[1], Number(process.argv[2])];
const call = (method, path) => new Promise((resolve, reject) => http.request({ socketPath: '/run/docker.sock', method, path }, (r) => {
  let text = ''; r.on('data', (c) => text += c).on('end', () => resolve({ status: r.statusCode, body: text }));
}).on('error', reject).end());
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const file = (i) => '/srv/bench/d' + (i % 10) + '/f' + i;
const read = (f) => { try { return fs.readFileSync(f, 'utf8'); } catch { return ''; } };
const unit = (i) => 'bench-' + i % ${units} + '.service';
const active = (u) => { try { return execFileSync('systemctl', ['is-active', u], { encoding: 'utf8' }).trim() === 'active'; } catch { return false; } };
const name = (i) => 'bench-s' + i % ${services} + '-1';
const started = async (i) => { const { status, body } = await call('GET', '/containers/' + name(i) + '/json'); const state = status === 200 ? JSON.parse(body).State : {}; return state.Running ? state.StartedAt : ''; };
const again = async (i, before) => { const now = await started(i); return now !== '' && now !== before; };
const acts = {
  'file edited': [(i) => fs.appendFileSync(file(i), 'tampered'), async (i) => read(file(i)) === ('file ' + i + '\\n').repeat(20)],
  'file deleted': [(i) => fs.rmSync(file(i)), async (i) => read(file(i)) === ('file ' + i + '\\n').repeat(20)],
  'unit stopped': [(i) => execFileSync('systemctl', ['stop', unit(i)]), async (i) => active(unit(i))],
  'container killed': [(i) => call('POST', '/containers/' + name(i) + '/kill'), again],
  'container removed': [(i) => call('DELETE', '/containers/' + name(i) + '?force=true'), again],
};
(async () => {
  const [act, whole] = acts[what];
  const took = [];
  for (let i = 0; i < rounds; i++) {
    const before = what.startsWith('container') ? await started(i) : '';
    await act(i);
    const began = process.hrtime.bigint();
    while (!(await whole(i, before))) await pause(5);
    took.push(Number(process.hrtime.bigint() - began) / 1e6);
    await pause(150);
  }
  console.log(JSON.stringify(took));
})();`;
