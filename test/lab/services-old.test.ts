/**
 * Debian 12's Docker engine (Docker 20.10, API 1.41): unsupported keys are reported before anything is changed; everything else
 * runs.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SAMPLED, sampleOf } from '../sweep.ts';
import { type EngineOn, engineOn } from './engine-on.ts';
import { type Lab, type LabHost, startLab } from './lab.ts';
import { asRepo, PROJECTS, prepareHost } from './projects.ts';

let lab: Lab;
let old: LabHost;
let engine: EngineOn;
const MINUTES = 60_000;

/** Keys of the projects that this Docker engine does not support. */
const TOO_NEW: Record<string, string> = {
  lists: 'annotations',
  macs: 'networks.mac_address',
  networks: 'networks.mac_address',
  numbers: 'annotations',
  pair: 'healthcheck.start_interval',
  process: 'annotations',
  subpath: 'volumes.volume.subpath',
};
/** An engine of this age gives a privileged container more than a lab host itself has. Others are only about newer keys. */
const NOT_IN_THE_LAB = ['home', 'monitoring', 'privileged', 'mounted-images', 'interfaces', 'no-four', 'hooks'];

const projects = Object.fromEntries(Object.entries(PROJECTS).filter(([name]) => !NOT_IN_THE_LAB.includes(name)));
/** A third of them, different ones each time; all in the soak. */
const able = Object.fromEntries(
  sampleOf(
    Object.entries(projects).filter(([name]) => !Object.hasOwn(TOO_NEW, name)),
    3,
  ),
);
beforeAll(async () => {
  lab = await startLab({ name: 'old', infra: 'shared', hosts: [{ name: 'old', flavour: 'debian12' }] });
  old = lab.host('old');
  await prepareHost(old);
  expect((await old.exec(['docker', 'version', '-f', '{{.Server.APIVersion}}'])).stdout.trim()).toBe('1.41');
  engine = await engineOn(old);
});
afterAll(async () => {
  engine?.close();
  await lab?.stop();
});

test(
  'unsupported keys are reported with version and place, and no container with them is created',
  async () => {
    const young = Object.fromEntries(Object.keys(TOO_NEW).map((name) => [name, projects[name] ?? {}]));
    const { run, outcome } = await engine.apply(asRepo(young));
    expect(run.sync).toBe('failed');
    const tooOld = outcome.problems.filter(({ reason }) => reason === 'EngineTooOld');
    const told = Object.fromEntries(tooOld.map((p) => [p.id?.split(/[:/]/)[1], p]));
    expect(Object.keys(told).sort()).toEqual(Object.keys(TOO_NEW).sort());
    for (const [name, key] of Object.entries(TOO_NEW)) {
      expect(told[name]).toMatchObject({ file: `hosts/h/${name}/compose.yaml` });
      expect(told[name]?.line).toBeGreaterThan(1);
      expect(told[name]?.message).toMatch(
        new RegExp(
          `^\`${key}\` needs API 1\\.4\\d \\(Docker 2\\d\\.0\\), and this host's engine has API 1\\.41; update Docker, or remove the key$`,
        ),
      );
    }
    const made = await old.exec([
      'docker',
      'ps',
      '-a',
      '--format',
      'service:{{.Label "com.docker.compose.project"}}/{{.Label "com.docker.compose.service"}}',
    ]);
    expect(made.stdout.split('\n').filter((id) => tooOld.some((problem) => problem.id === id))).toEqual([]);
    // It is no outage: the next run reports the same.
    const again = (await engine.again()).outcome.problems.filter(({ reason }) => reason === 'EngineTooOld');
    expect(again.length).toBe(tooOld.length);
  },
  3 * MINUTES,
);

test('all unsupported keys of a service are named together', async () => {
  const { outcome } = await engine.apply({
    'shop/compose.yaml': `services:
  web:
    image: infra:5000/app:1
    volumes: [{type: image, source: "infra:5000/app:2", target: /assets}]
    networks: {front: {interface_name: lan0, gw_priority: 5}}
networks: {front: {enable_ipv4: false, enable_ipv6: true}}
`,
  });
  const tooOld = outcome.problems.filter(({ reason }) => reason === 'EngineTooOld');
  expect(tooOld.map((p) => `${p.id} ${p.reason}: ${p.message}`).sort()).toEqual([
    "network:shop/front EngineTooOld: `enable_ipv4` needs API 1.48 (Docker 28.0), and this host's engine has API 1.41; update Docker, or remove the key",
    "service:shop/web EngineTooOld: `volumes.type: image` needs API 1.48 (Docker 28.0), `networks.gw_priority` needs API 1.48 (Docker 28.0), `networks.interface_name` needs API 1.49 (Docker 28.1), and this host's engine has API 1.41; update Docker, or remove these keys",
  ]);
});

const without = Object.fromEntries(
  Object.keys(TOO_NEW).map((name) => [
    name,
    Object.fromEntries(Object.entries(projects[name] ?? {}).map(([file, text]) => [file, withoutNewKeys(text)])),
  ]),
);
const converges = async (wanted: typeof PROJECTS) => {
  const { outcome, run } = await engine.apply(asRepo(wanted));
  expect(outcome.problems, SAMPLED).toEqual([]);
  expect(run.sync).toBe('synced');
  expect((await engine.again()).outcome.actions).toEqual([]);
};

test('the same projects without those keys converge', () => converges(without), 10 * MINUTES);

test('an old Docker engine uses the hardware address of a first network, and only that', async () => {
  const macs = async () =>
    (
      await old.sh("docker inspect -f '{{range .NetworkSettings.Networks}}{{.MacAddress}} {{end}}' macs-web-1")
    ).stdout.trim();
  expect(await macs()).toBe('02:42:0a:5b:01:01');
});

test(
  'the other projects converge as well; then nothing is left to do',
  () => converges({ ...able, ...without }),
  15 * MINUTES,
);

/** As a person would after reading the message. */
function withoutNewKeys(text: string): string {
  return text
    .replaceAll(/^ +annotations: .*\n/gm, '')
    .replaceAll(', start_interval: 2s', '')
    .replaceAll(', volume: {subpath: part}', '')
    .replaceAll(/ (b|front): \{mac_address: "[^"]*"\}/g, ' $1:');
}
