/** Both tools start the same projects on twin hosts: for the Docker engine they are equal, and fairlead adopts running ones. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse, parseDocument, stringify } from 'yaml';
import { SAMPLED, sampleOf } from '../sweep.ts';
import { type EngineOn, engineOn } from './engine-on.ts';
import { ALLOWED, differing, type Inspected, inspectAll, mutants } from './inspected.ts';
import { type Lab, type LabHost, startLab, until } from './lab.ts';
import { asRepo, composeUp, PROJECTS, prepareHost } from './projects.ts';

/** Where fairlead stores the mounted files of a stack; and where somebody else may have started it. */
const TREE = '/var/lib/fairlead/tree/hosts/h';
const APPS = '/opt/apps';
const MINUTES = 60_000;

const names = Object.keys(PROJECTS);
/** Every second project runs outside of fairlead's own directory. */
const away = names.filter((_, i) => i % 2 === 1);
const fileOf = (files: Readonly<Record<string, string>>) => Object.keys(files)[0] ?? '';
const projects = Object.fromEntries(
  Object.entries(PROJECTS).map(([name, files]) => {
    const file = fileOf(files);
    const text = Object.values(files).join('\n');
    // Files that are named by relative path stay where they are.
    const stays = away.includes(name) && /[ "]\.\//.test(text);
    const own = stays ? `x-fairlead: {project_directory: ${APPS}/${name}}\n` : '';
    return [name, { ...files, [file]: `${own}${files[file]}` }];
  }),
);
const repo = asRepo(projects);
const only = (wanted: (name: string) => boolean) =>
  Object.fromEntries(Object.entries(projects).filter(([name]) => wanted(name)));

let lab: Lab;
let oracle: LabHost;
let ours: LabHost;
let engine: EngineOn;

beforeAll(async () => {
  lab = await startLab({ name: 'twins', infra: 'shared', hosts: [{ name: 'oracle' }, { name: 'ours' }] });
  [oracle, ours] = [lab.host('oracle'), lab.host('ours')];
  await Promise.all([oracle, ours].map(prepareHost));
  engine = await engineOn(ours);
});
afterAll(async () => {
  engine?.close();
  await lab?.stop();
});

describe('the containers', () => {
  let theirs: Inspected;
  let mine: Inspected;

  test(
    'of both tools are created from the same projects',
    async () => {
      const [, result] = await Promise.all([
        composeUp(
          oracle,
          TREE,
          only((name) => !away.includes(name)),
        ).then(() =>
          composeUp(
            oracle,
            APPS,
            only((name) => away.includes(name)),
          ),
        ),
        engine.apply(repo),
      ]);
      expect(result.outcome.problems).toEqual([]);
      // A one-shot may still run on the one host and have ended on the other.
      const states = async (on: LabHost) =>
        (await on.sh("docker ps -a --format '{{.Names}} {{.State}}' | sort")).stdout;
      await until('both to be idle', 120_000, async () => (await states(oracle)) === (await states(ours))).catch(
        () => undefined,
      );
      [theirs, mine] = [await inspectAll(oracle), await inspectAll(ours)];
      expect([...mine.keys()].sort()).toEqual([...theirs.keys()].sort());
      expect((await engine.again()).outcome.actions).toEqual([]);
    },
    15 * MINUTES,
  );

  test('are equal for the Docker engine, except for ids, times, addresses and labels of the tools', () => {
    const wrong = [...theirs].flatMap(([name, value]) =>
      differing(value, mine.get(name) ?? null).map((line) => `${name}: ${line}`),
    );
    expect(wrong).toEqual([]);
  });

  test(
    'are compared in every other field',
    () => {
      const seen = new Set<string>();
      const blind = [...theirs].flatMap(([name, value]) => {
        const kind = name.split(' ')[0];
        return mutants(value)
          .filter(({ path }) => !ALLOWED.some((a) => a.test(path)) && !seen.has(`${kind} ${path}`))
          .filter(({ path, mutant }) => {
            seen.add(`${kind} ${path}`);
            return differing(value, mutant).length === 0;
          })
          .map(({ path }) => `${name}: ${path}`);
      });
      expect(blind).toEqual([]);
      expect(seen.size).toBeGreaterThan(300);
    },
    5 * MINUTES,
  );
});

test(
  'containers that lack any one key are reported with that key',
  async () => {
    // The name of a key if it is one of several with the same effect.
    const other: Record<string, readonly string[]> = {
      env_file: ['environment'],
      label_file: ['labels'],
      configs: ['volumes'],
      secrets: ['volumes'],
      mac_address: ['mac_address', 'networks'],
      external_links: ['links'],
      deploy: ['mem_limit', 'restart', 'cpus', 'scale'],
    };
    // These change no container: an order of starts, a choice among images, defaults, log settings.
    const silent = ['image', 'depends_on', 'platform', 'pull_policy', 'profiles', 'attach', 'extends', '<<'];
    const provider = engine.deps.providers.get('service');
    const missed: string[] = [];
    for (const [project, files] of Object.entries(projects)) {
      const file = fileOf(files);
      const model = parse(files[file] ?? '', { merge: true }) as Model;
      for (const [name, service] of Object.entries(model.services))
        for (const key of Object.keys(service).filter((k) => !silent.includes(k))) {
          const { [key]: _, ...rest } = service;
          const less = { ...model, services: { ...model.services, [name]: rest } };
          const changed = { [`${project}/${file}`]: stringify(less, { aliasDuplicateObjects: false }) };
          const loaded = await engine.load({ ...asRepo({ [project]: files }), ...changed });
          const id = `service:${model.name ?? project}/${name}` as const;
          const want = loaded.resources.find((r) => r.id === id);
          // A profile that is not active.
          if (service.profiles && !want) continue;
          if (!want || !provider) throw new Error(`${id} ${key}: ${JSON.stringify(loaded.issues)}`);
          const seen = await provider.observe([want.id], new AbortController().signal, new Map([[want.id, want]]));
          const change = provider.diff(want, seen.get(want.id));
          const fields = change.op === 'none' ? [] : change.why.map((r) => r.field.split('.')[0] ?? '');
          const expected = other[key] ?? [key];
          if (!expected.some((field) => fields.includes(field)) && !DEFAULTS.includes(`${project}/${name} ${key}`))
            missed.push(`${project}/${name} ${key}: ${fields.join(' ')}`);
        }
    }
    expect(missed).toEqual([]);
  },
  10 * MINUTES,
);

interface Model {
  name?: string;
  services: Record<string, Record<string, unknown>>;
}

/** Here a key has the value of the default, or repeats another key. */
const DEFAULTS: readonly string[] = [
  'elastic/es mem_swappiness',
  'file-shadow/web configs',
  'overridden/web command',
  'deploy-over/web mem_limit',
  'deploy-over/web mem_reservation',
  'deploy-over/web cpus',
  'deploy-over/web pids_limit',
  'deploy-over/web restart',
  'deploy-over/none restart',
  'quota/web pids_limit',
  'default-own/other networks',
  'command-text/cleared entrypoint',
  'identity/web init',
  'identity/web tty',
  'identity/web stdin_open',
  'identity/web read_only',
  'identity/web privileged',
  'once/quiet restart',
  'scaled/one scale',
];

describe('a host that runs under docker compose', () => {
  let adopting: EngineOn;
  const running = async () =>
    (
      await oracle.sh(
        "docker inspect -f '{{.Name}} {{.Id}} {{.State.StartedAt}} {{range .NetworkSettings.Networks}}{{.EndpointID}} {{end}}' $(docker ps -aq)",
      )
    ).stdout
      .trim()
      .split('\n')
      .map((line) => line.trim())
      .sort();
  beforeAll(async () => {
    adopting = await engineOn(oracle);
  });
  afterAll(() => adopting?.close());

  test(
    'is adopted as it is, wherever it was started: no container is touched',
    async () => {
      const before = await running();
      const { outcome } = await adopting.apply(repo);
      expect(outcome.actions.filter((a) => !a.id.startsWith('file:'))).toEqual([]);
      expect(outcome.problems).toEqual([]);
      expect(await running()).toEqual(before);
      expect((await adopting.again()).outcome.actions).toEqual([]);
    },
    5 * MINUTES,
  );

  const expectToolWorks = async () => {
    for (const [dir, project] of [
      [TREE, 'pair'],
      [APPS, 'shop'],
      [TREE, 'shop'],
    ].filter(([dir, project]) => (dir === APPS) === away.includes(project ?? ''))) {
      const compose = async (...argv: string[]) =>
        (await oracle.exec(['docker', 'compose', ...argv], { cwd: `${dir}/${project}` })).stdout;
      const { services } = parse(PROJECTS[project ?? '']?.['compose.yaml'] ?? '') as Model;
      const ps = await compose('ps', '-a', '--format', '{{.Service}}');
      expect(ps.trim().split('\n').sort()).toEqual(Object.keys(services).sort());
      expect(await compose('exec', '-T', 'db', 'echo', 'here')).toBe('here\n');
      await compose('logs', '--tail', '1');
      const { stdout } = await oracle.exec(['docker', 'compose', 'ls', '-a', '--filter', `name=${project}`, '-q']);
      expect(stdout.trim().split('\n')).toContain(project);
    }
  };
  test('can still be used with docker compose', expectToolWorks);

  test(
    'recreates one container for each changed field, and the reason names the field',
    async () => {
      const before = await running();
      // A third of the projects, different ones each time; all in the soak.
      const changes = sampleOf(Object.entries(projects), 3).map(([name, files], i) => changeOne(name, files, i));
      const { outcome } = await adopting.apply({ ...repo, ...Object.assign({}, ...changes.map((c) => c.files)) });
      expect(outcome.problems, SAMPLED).toEqual([]);
      // Warnings of the Docker engine about features that this kernel lacks are no reason.
      const fields = (why: readonly { field: string }[]) =>
        why.map((r) => r.field).filter((field) => field !== 'warning of the engine');
      const done = outcome.actions.map((a) => `${a.op} ${a.id} ${fields(a.why).join(' ')}`);
      expect(done.sort()).toEqual(changes.map((c) => `replace ${c.id} ${c.key}`).sort());
      const after = await running();
      expect(after.filter((line) => !before.includes(line)).length).toBe(changes.length);
      expect(after.length).toBe(before.length);
      expect((await adopting.again()).outcome.actions).toEqual([]);
      await expectToolWorks();
    },
    10 * MINUTES,
  );
});

/** Values that no project has and every container accepts. */
const CHANGES: readonly (readonly [key: string, value: unknown])[] = [
  ['stop_signal', 'SIGINT'],
  ['working_dir', '/tmp'],
  ['cap_drop', ['SYS_CHROOT']],
  ['oom_score_adj', 321],
  ['init', true],
];

/** One more key at a service that no other one depends on. */
function changeOne(project: string, files: Readonly<Record<string, string>>, i: number) {
  const file = fileOf(files);
  const text = files[file] ?? '';
  const { name = project, services } = parse(text, { merge: true }) as Model;
  const apart = Object.keys(services).find(
    (service) =>
      !services[service]?.profiles &&
      !Object.entries(services).some(([other, model]) => other !== service && mentions(model, service)),
  );
  const [key, value] = [...CHANGES.slice(i % CHANGES.length), ...CHANGES].find(
    ([k]) => !Object.hasOwn(services[apart ?? ''] ?? {}, k),
  ) ?? ['', null];
  const document = parseDocument(text);
  document.setIn(['services', apart, key], value);
  return { id: `service:${name}/${apart}`, key, files: { [`${project}/${file}`]: document.toString() } };
}

const mentions = (model: Record<string, unknown>, service: string): boolean => {
  const { depends_on, links, network_mode, pid, ipc, volumes_from, extends: base } = model;
  const text = JSON.stringify([depends_on, links, network_mode, pid, ipc, volumes_from, base]);
  return new RegExp(`[":]${service}[":]`).test(text);
};
