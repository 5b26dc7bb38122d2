/** The agent on one lab host: first convergence and no-op with a growing number of resources; then a push notice → done. */
import { installAgent, statusWhere } from '../../lab/agent.ts';
import { type FleetRepo, type LabHost, startLab } from '../../lab/lab.ts';
import { HEALTH_BY_SECONDS as HEALTH } from '../../lab/story.ts';
import type { BenchRun } from '../report/runner.ts';
import { lastAction, quietSyncs, sync } from './feed.ts';
import { measurePush } from './push.ts';

const FILES = { full: 1_000, quick: 100 };
const UNITS = { full: 50, quick: 5 };
/** `docker compose up -d` is compared at this size in a quick run, too. */
const SERVICES = 10;
const REPEAT = { full: 11, quick: 3 };

export async function agentBench(run: BenchRun<'agent'>): Promise<void> {
  const lab = await startLab({ name: 'bench', hosts: [{ name: 'edge-1' }], log: run.log });
  try {
    const host = lab.host('edge-1');
    const repo = await lab.infra.createRepo('fleet');
    await repo.commit({ 'hosts/edge-1/a.yaml': 'files: {/etc/bench/x: {content: x}}\n' }, 'Begin');
    await installAgent(host, { repoUrl: repo.httpUrl });
    await statusWhere(lab.infra, 'edge-1', 'synced', (s) => s.sync === 'synced');
    for (const load of [files(run.isQuick), units(run.isQuick), services()]) await converge({ host, repo, load, run });
    await statusWhere(lab.infra, 'edge-1', 'synced and healthy', (s) => s.sync === 'synced' && s.health === 'healthy');
    await measurePush({ lab, host, repo, run, compose });
    run.log(
      `push notices: with ${sizeOf(FILES, run)} files, ${sizeOf(UNITS, run)} units and ${SERVICES} services managed`,
    );
  } finally {
    await lab.stop();
  }
}

const sizeOf = (size: { full: number; quick: number }, { isQuick }: { isQuick: boolean }): number =>
  isQuick ? size.quick : size.full;

interface Load {
  name: 'files' | 'units' | 'services';
  files: Record<string, string>;
}

const files = (isQuick: boolean): Load => ({
  name: 'files',
  files: {
    'hosts/edge-1/files.yaml': 'files: {/srv/bench: {source: tree}}\n',
    ...Object.fromEntries(
      Array.from({ length: sizeOf(FILES, { isQuick }) }, (_, i) => [
        `hosts/edge-1/tree/d${i % 10}/f${i}`,
        `file ${i}\n`.repeat(20),
      ]),
    ),
  },
});
const unit = (_: unknown, i: number): string =>
  `  bench-${i}.service:\n    content: "[Service]\\nExecStart=/bin/sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n"\n    enabled: true\n    state: started\n`;
const units = (isQuick: boolean): Load => ({
  name: 'units',
  files: {
    'hosts/edge-1/units.yaml': `units:\n${Array.from({ length: sizeOf(UNITS, { isQuick }) }, unit).join('')}`,
  },
});
/** @param third image of the service whose image changes */
const compose = (third: string): string =>
  `services:\n${Array.from({ length: SERVICES }, (_, i) => `  s${i}:\n    image: infra:5000/${i === 3 ? third : 'app:1'}\n    ${HEALTH}\n`).join('')}`;
const services = (): Load => ({
  name: 'services',
  files: { 'hosts/edge-1/bench/compose.yaml': compose('app:1') },
});

interface Step {
  host: LabHost;
  repo: FleetRepo;
  load: Load;
  run: BenchRun<'agent'>;
}

/** First convergence to the last action, then runs that find nothing to do. */
async function converge({ host, repo, load, run }: Step): Promise<void> {
  await repo.commit(load.files, load.name);
  run.record(`first.${load.name}`, [lastAction(await sync(host))]);
  // A file that was just written cannot be distinguished from one that is being written, so the host has to rest first.
  await host.exec(['sleep', '3']);
  run.record(`noop.${load.name}`, await quietSyncs(host, sizeOf(REPEAT, run)));
}
