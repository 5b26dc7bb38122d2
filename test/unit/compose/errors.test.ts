import { describe, expect, test } from 'vitest';
import { loadProject } from '../../../agent/compose/load/load.ts';
import type { Case } from '../../compose/cases.ts';
import { loadCase } from '../../compose/load.ts';

const load = (files: Record<string, string> | string, vars: Record<string, string> = {}) =>
  loadCase({
    ...{ name: '', slug: 'e', dir: '', vars, refused: false, stricter: '', looser: '' },
    files: typeof files === 'string' ? { 'compose.yaml': files } : files,
  } satisfies Case);
/** `file:line:column key: message` of every issue. */
const said = (files: Record<string, string> | string, vars?: Record<string, string>) =>
  load(files, vars).issues.map(
    (i) => `${i.file.replace('hosts/oracle/e/', '')}:${i.line}:${i.column} ${i.key}: ${i.message}`,
  );

describe('an error names file, line, column, key and the intended key', () => {
  test.each<[string, string, string]>([
    [
      'a misspelled key',
      'services:\n  a:\n    image: x\n    enviroment: {}\n',
      'compose.yaml:4:5 services.a.enviroment: unknown key `enviroment`; did you mean `environment`?',
    ],
    [
      'a misspelled section',
      'service:\n  a: {image: x}\n',
      'compose.yaml:1:1 service: unknown key `service`; did you mean `services`?',
    ],
    [
      'a key deep inside',
      'services:\n  a:\n    image: x\n    healthcheck:\n      intervall: 1s\n',
      'compose.yaml:5:7 services.a.healthcheck.intervall: unknown key `intervall`; did you mean `interval`?',
    ],
    [
      'a key of a list item',
      'services:\n  a:\n    image: x\n    ports:\n      - {target: 80, publish: 1}\n',
      'compose.yaml:5:22 services.a.ports.0.publish: unknown key `publish`; did you mean `published`?',
    ],
    [
      'one of several words',
      'services: {a: {image: x, cgroup: hosts}}',
      'compose.yaml:1:26 services.a.cgroup: `cgroup` must be host or private, got `hosts`; did you mean `host`?',
    ],
    [
      'a wrong type',
      'services:\n  a:\n    image: x\n    ports: 80\n',
      'compose.yaml:4:5 services.a.ports: `ports` must be a list, got the number "80"',
    ],
    [
      'a duplicate name',
      'services: {web: {image: x, depends_on: [databse]}, database: {image: y}}',
      'compose.yaml:1:41 services.web.depends_on.databse: `web` depends on `databse`, which this stack does not have; did you mean `database`?',
    ],
    [
      'a network',
      'services: {a: {image: x, networks: [frnt]}}\nnetworks: {front: }',
      'compose.yaml:1:37 services.a.networks.frnt: network `frnt` is not declared under `networks`; did you mean `front`?',
    ],
    [
      'a duration',
      'services: {a: {image: x, stop_grace_period: 10}}',
      'compose.yaml:1:26 services.a.stop_grace_period: `stop_grace_period` must be a string, got the number "10"',
    ],
    [
      'a variable',
      'services: {a: {image: "x:${TAG:?set it}"}}',
      'compose.yaml:1:16 services.a.image: `services.a.image`: required variable TAG is not set: set it',
    ],
    ['YAML', 'services:\n  a: {image: x\n', 'compose.yaml:3:1 : is not valid YAML: deficient indentation'],
    [
      'a duplicate key',
      'services:\n  a: {image: x}\n  a: {image: y}\n',
      'compose.yaml:3:3 : the key `a` occurs twice in one mapping; first at line 2',
    ],
    [
      'a file',
      'services: {a: {image: x, env_file: no.env}}',
      'compose.yaml:1:26 services.a.env_file.0: file `hosts/oracle/e/no.env` is not in the repository; add it, or say `required: false`',
    ],
    [
      'extends',
      'services: {a: {extends: bse}, base: {image: x}}',
      'compose.yaml:1:16 services.a.extends: `a` extends `bse`, which this file does not have; did you mean `base`?',
    ],
    [
      'nothing but a port',
      'services: {a: {image: x, ports: ["eighty:80"]}}',
      'compose.yaml:1:34 services.a.ports.0: `eighty:80` is not a port mapping such as "8080:80": `eighty` is not a port or a range of ports',
    ],
  ])('%s', (_what, text, expected) => {
    expect(said(text)).toContain(expected);
  });

  test('names the right place even if earlier lines had to be moved for the parser', () => {
    const text =
      'services:\n  a:\n    image: x\n    ports: [\n"80", "x:1"\n]\n    nonsense: 1\n    labels: {a: "one\ntwo", b: [\n]}\n';
    expect(said(text).map((s) => s.split(' ')[0])).toEqual([
      'compose.yaml:5:7',
      'compose.yaml:7:5',
      'compose.yaml:9:7',
    ]);
  });

  test('names the file and line that wrote the value', () => {
    const files = {
      'compose.yaml': 'services:\n  a:\n    extends: {file: lib/base.yaml, service: b}\n',
      'compose.override.yaml': '\n\nservices:\n  a:\n    privilegd: true\n',
      'lib/base.yaml': '# one\n# two\nservices:\n  b:\n    image: x\n    restrt: always\n',
      '.env': 'A=1\nB="open\n',
    };
    expect(said(files)).toEqual([
      '.env:2:1 : a quote is not closed',
      'compose.override.yaml:5:5 services.a.privilegd: unknown key `privilegd`; did you mean `privileged`?',
      'lib/base.yaml:6:5 services.a.restrt: unknown key `restrt`; did you mean `restart`?',
    ]);
  });

  test('lists all errors of a stack together, each once', () => {
    const text =
      'services:\n  a:\n    imge: x\n    ports: [x]\n    cpus: many\n    volumes: ["ab::b"]\n  b: {scale: []}\nnetworks: {n: {drver: x}}\n';
    expect(
      said({ 'compose.yaml': text, 'compose.override.yaml': 'services: {a: {tty: maybe}}\n' }).map(
        (s) => s.split(' ')[0],
      ),
    ).toEqual([
      'compose.override.yaml:1:16',
      'compose.yaml:3:5',
      'compose.yaml:4:13',
      'compose.yaml:5:5',
      'compose.yaml:6:15',
      'compose.yaml:7:7',
      'compose.yaml:8:16',
    ]);
  });

  test('prints cycles step by step', () => {
    expect(said('services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [a]}}')[0]).toContain(
      'a → b → a',
    );
    expect(said('services: {a: {extends: b}, b: {extends: a}}')[0]).toContain(
      'compose.yaml: a → hosts/oracle/e/compose.yaml: b → hosts/oracle/e/compose.yaml: a',
    );
    expect(said({ 'compose.yaml': 'include: [b.yaml]', 'b.yaml': 'include: [compose.yaml]' })[0]).toContain(
      'compose.yaml → hosts/oracle/e/b.yaml → hosts/oracle/e/compose.yaml',
    );
  });

  test.each(['../../../../etc/x:/x', '../../x:/x', '~/x:/x'])(
    '%s does not read files outside the repository',
    (mount) => {
      expect(said(`services: {a: {image: x, volumes: ["${mount}"]}}`)).toEqual([
        expect.stringMatching(/leaves|outside|home/),
      ]);
    },
  );
});

describe('warnings', () => {
  test('cover an unset variable, an obsolete version and an operator of a shell', () => {
    const { issues, project } = load('version: "3"\nservices:\n  a:\n    image: "x$TAG"\n    command: a && b\n');
    expect(issues.map((i) => [i.severity, i.line])).toEqual([
      ['warning', 1],
      ['warning', 4],
      ['warning', 5],
    ]);
    expect(project.services.a?.image).toBe('x');
  });
});

test('the error of an unsupported key explains what hosts do not do, and how to leave out a compose.override.yaml with it', () => {
  const files = {
    'compose.yaml': 'services:\n  a: {image: x}\n',
    'compose.override.yaml': 'services:\n  a:\n    build: .\n',
  };
  expect(said(files)).toEqual([
    'compose.override.yaml:3:5 services.a.build: `build` asks a host to build an image, which hosts do not do; push the image to a registry and name it with `image` (compose.override.yaml is merged as `docker compose` merges it; `x-fairlead: {files: [compose.yaml]}` in compose.yaml leaves it out)',
  ]);
  expect(said({ ...files, '.env': 'COMPOSE_FILE=compose.yaml\n' })).toEqual([]);
});

test("a path outside the stack's directories gets an error that explains how hosts share files", () => {
  const file = 'services: {a: {image: x, env_file: ../../../.env}}';
  expect(said(file)[0]).toMatch(/share files by a role \(roles\/<role>\), and values by `vars` of fleet.yaml/);
});

describe('an unset variable', () => {
  const MOUNT = 'services: {a: {image: x, volumes: [';
  test.each([
    [
      'the beginning of a mounted path',
      `${MOUNT}"\${DIR}/db:/db"]}}`,
      /`DIR` is not set, which makes it `\/db` on the host; set it/,
    ],
    ['two of them', `${MOUNT}"$A$B/db:/db"]}}`, /`A` is not set/],
    ['all of a mounted path', `${MOUNT}"\${DIR}:/db"]}}`, /`DIR` is not set, which leaves nothing to mount/],
    ['a source in the long form', `${MOUNT}{type: bind, source: "\${DIR}/x", target: /x}]}}`, /`DIR` is not set/],
    ['a device', 'services: {a: {image: x, devices: ["${DEV}:/dev/x"]}}', /`DEV` is not set/],
    [
      'the file of a config',
      'services: {a: {image: x, configs: [c]}}\nconfigs: {c: {file: "${DIR}/c"}}',
      /`DIR` is not set/,
    ],
    [
      'the directory of a volume',
      'services: {a: {image: x, volumes: ["v:/v"]}}\nvolumes: {v: {driver: local, driver_opts: {type: none, o: bind, device: "${DIR}/v"}}}',
      /`DIR` is not set/,
    ],
    [
      'the directory of the stack',
      'services: {a: {image: x}}\nx-fairlead: {project_directory: "${DIR}/shop"}',
      /`DIR` is not set/,
    ],
    ['a tag', 'services: {a: {image: "app:${TAG}"}}', /`TAG` is not set, and `app:` is not the name of an image/],
    ['a registry', 'services: {a: {image: "$REG/app:1"}}', /`REG` is not set/],
    ['all of an image', 'services: {a: {image: "${IMAGE}"}}', /`IMAGE` is not set/],
    [
      'a port of the container',
      'services: {a: {image: x, ports: ["80:${PORT}"]}}',
      /`PORT` is not set, and "80:" is not a port/,
    ],
  ])('is an error if it was %s', (_, file, expected) => {
    const errors = load(file).issues.filter((i) => i.severity === 'error');
    expect(errors.map((i) => i.message)).toContainEqual(expect.stringMatching(expected));
  });

  test.each([
    ['in the middle of a path', `${MOUNT}"/srv/\${DIR}/db:/db", "./a\${DIR}:/a"]}}`],
    ['in an image that has a name without it', 'services: {a: {image: "app${SUFFIX}:1"}}'],
    ['in a default that is not used', `${MOUNT}"\${SET:-$DIR}/db:/db"]}}`],
    ['in the environment', 'services: {a: {image: x, environment: {A: "/$DIR"}}}'],
    ['in a service that is off', 'services: {a: {image: x}, b: {image: "$B", profiles: [off]}}'],
  ])('is a warning %s', (_, file) => {
    expect(load(file, { SET: '/srv' }).issues.map((i) => i.severity)).toContain('warning');
    expect(load(file, { SET: '/srv' }).issues.map((i) => i.severity)).not.toContain('error');
  });

  test('is neither if it is set to an empty value, or has an empty default', () => {
    expect(load(`${MOUNT}"\${DIR:-}/db:/db"]}}`).issues).toEqual([]);
    expect(load(`${MOUNT}"\${DIR}/db:/db"]}}`, { DIR: '' }).issues).toEqual([]);
  });

  test('HOME, from the variables of the stack, expands ~', () => {
    const { issues, project } = load(`${MOUNT}"~/db:/db", "~:/home"]}}`, { HOME: '/home/ops' });
    expect(issues).toEqual([]);
    expect(project.services.a?.volumes?.map((v) => v.source)).toEqual(['/home/ops/db', '/home/ops']);
    expect(said(`${MOUNT}"~/db:/db"]}}`)[0]).toMatch(
      /`~\/db` begins in a home directory, and HOME is not set; set HOME/,
    );
    expect(said(`${MOUNT}"~/db:/db"]}}`, { HOME: 'x' })[0]).toMatch(/HOME is not/);
  });
});

test.each([
  ['app:', false],
  ['App', false],
  ['app/', false],
  ['/app', false],
  ['a b', false],
  ['app:1@sha256:00', false],
  ['app', true],
  ['Host/app', true],
  ['localhost:5000/a/b__c:1.2-x', true],
  ['[::1]:5000/app', true],
  [`app:1@sha256:${'0'.repeat(64)}`, true],
  ['a'.repeat(2000), false],
])('%j is the name of an image: %s', (image, expected) => {
  const refused = said(`services: {a: {image: ${JSON.stringify(image)}}}`).some((m) =>
    m.includes('is not the name of an image'),
  );
  expect(refused).toBe(!expected);
});

test('every value has its place in the files', () => {
  const { origin } = load({
    'compose.yaml': 'services:\n  a:\n    image: x\n    ports: ["80:80"]\n    environment:\n      A: 1\n',
    'compose.override.yaml': 'services:\n  a:\n    ports:\n      - "81:81"\n    user: u\n',
  });
  const at = (...path: (string | number)[]) => {
    const { file, line, column, layer } = origin(path);
    return `${file.replace('hosts/oracle/e/', '')}:${line}:${column} ${layer}`;
  };
  expect(at('services', 'a', 'image')).toBe('compose.yaml:3:5 hosts/oracle');
  expect(at('services', 'a', 'ports', 0, 'target')).toBe('compose.yaml:4:13 hosts/oracle');
  expect(at('services', 'a', 'ports', 1)).toBe('compose.override.yaml:4:9 hosts/oracle');
  expect(at('services', 'a', 'user')).toBe('compose.override.yaml:5:5 hosts/oracle');
  expect(at('services', 'a', 'environment', 'A')).toBe('compose.yaml:6:7 hosts/oracle');
  expect(at('services', 'a', 'tty')).toBe('compose.override.yaml:2:3 hosts/oracle');
});

describe('layers', () => {
  const file = (dir: string, layer: string, text: string) => ({
    path: `${dir}/compose.yaml`,
    dir,
    layer,
    text,
    hostDir: `/tree/${dir}`,
  });

  test('a later layer overrides an earlier one; a relative path is relative to its own layer', () => {
    const { project, issues, origin } = loadProject({
      ...{
        dir: 'hosts/a/shop',
        hostDir: '/tree/hosts/a/shop',
        env: null,
        vars: new Map(),
        builtins: new Map(),
        roots: ['hosts/a', 'roles'],
      },
      read: (path) => (path === 'roles/base/shop/a.env' ? 'FROM=role\n' : undefined),
      files: [
        file(
          'roles/base/shop',
          'roles/base',
          'services:\n  a: {image: x, volumes: ["./conf:/conf"], env_file: a.env}\n',
        ),
        file('hosts/a/shop', 'hosts/a', 'services:\n  a: {volumes: ["./own:/own"], user: u}\n'),
      ],
    });
    expect(issues).toEqual([]);
    expect(project.services.a).toMatchObject({
      ...{ image: 'x', user: 'u', environment: { FROM: 'role' } },
      volumes: [{ source: '/tree/roles/base/shop/conf' }, { source: '/tree/hosts/a/shop/own' }],
    });
    expect(origin(['services', 'a', 'image']).layer).toBe('roles/base');
    expect(origin(['services', 'a', 'user']).layer).toBe('hosts/a');
  });
});

describe('variables', () => {
  test('come from vars, then .env, then the built-ins', () => {
    const { project } = loadProject({
      ...{ dir: 'h/s', hostDir: '/t', roots: ['h'], read: () => undefined },
      vars: new Map([['A', 'vars']]),
      env: { path: 'h/s/.env', text: 'A=env\nFAIRLEAD_HOST=env\n' },
      builtins: new Map([
        ['FAIRLEAD_HOST', 'built-in'],
        ['FAIRLEAD_FLEET', 'built-in'],
      ]),
      files: [
        { path: 'h/s/compose.yaml', layer: 'h', text: 'services: {a: {image: "$A/$FAIRLEAD_HOST/$FAIRLEAD_FLEET"}}' },
      ],
    });
    expect(project.services.a?.image).toBe('vars/env/built-in');
  });

  test('with the content of secrets are kept out of the model', () => {
    const { project, values } = load('services: {a: {image: x, secrets: [s]}}\nsecrets: {s: {environment: PASSWORD}}', {
      PASSWORD: 'hush',
    });
    expect(JSON.stringify(project)).not.toContain('hush');
    expect(values.get('secrets.s')).toBe('hush');
  });

  test.each(['COMPOSE_COMPATIBILITY=1', 'COMPOSE_CONVERT_WINDOWS_PATHS=true'])('%s is an error', (line) => {
    expect(said({ 'compose.yaml': 'services: {a: {image: x}}', '.env': `X=1\n${line}\n` })[0]).toMatch(
      /^\.env:2:1 COMPOSE_/,
    );
  });
});
