/** Random compose files: mostly valid, sometimes invalid, in every combination of forms. */
import fc from 'fast-check';

const NAMES = ['a', 'b', 'c'];
const name = fc.constantFrom(...NAMES);
const word = fc.constantFrom(
  'x',
  'one',
  'two words',
  'a=b',
  'a:b',
  '#c',
  '1',
  'yes',
  '',
  'ü',
  "it's",
  '"q"',
  'tab\t',
  'C:/x',
);
/** Valid ten times as often as invalid. */
const mostly = <T>(right: readonly T[], ...wrong: readonly T[]): fc.Arbitrary<T> =>
  fc.oneof({ weight: 12, arbitrary: fc.constantFrom(...right) }, { weight: 1, arbitrary: fc.constantFrom(...wrong) });
/** A text that may contain a variable. */
const variable: fc.Arbitrary<string> = fc.letrec<{ text: string }>((tie) => ({
  text: fc.oneof(
    { maxDepth: 3 },
    word,
    fc.constantFrom('$SET', '${SET}', '$$SET', '${UNSET}', '${EMPTY}', '$', '$1', '${SET}${SET}', '$SET.$SET'),
    fc
      .tuple(fc.constantFrom('SET', 'UNSET', 'EMPTY'), mostly([':-', '-', ':+', '+'], ':?', '?'), tie('text'))
      .map(([variableName, operator, rest]) => `\${${variableName}${operator}${rest}}`),
    fc.tuple(tie('text'), tie('text')).map(([first, second]) => `${first} ${second}`),
  ),
})).text;
const scalar = fc.oneof(variable, fc.integer({ min: -5, max: 5 }), fc.constantFrom(1.5, true, false, null));
const keyed = fc.oneof(
  fc.dictionary(fc.constantFrom('A', 'B', 'SET', 'a.b'), scalar, { maxKeys: 3 }),
  fc.uniqueArray(
    fc
      .tuple(fc.constantFrom('A', 'B', 'SET', 'UNSET'), fc.option(variable))
      .map(([key, value]) => (value === null ? key : `${key}=${value}`)),
    { minLength: 1, maxLength: 3 },
  ),
);
const flagLike = mostly<unknown>([true, false, 'true', 'no', '${YES}', '${UNSET:-off}', 'ON'], 'maybe', 1, null);
const wholeLike = mostly<unknown>([0, 1, 2, '3', '${UNSET:-4}'], '1.5', -1, 'x', '${PORT}');
const size = mostly<unknown>(['64m', '1.5g', 1024, '10kb', '0', '1 GB', -1, '${UNSET:-7m}'], '1e3', '-1', '');
const time = mostly(['1s', '1m30s', '500ms', '1.5h', '0', '90m', '-1s', '1h1s', '${UNSET:-3s}'], '', '10', '1d');
// Never empty: if there is a second file, docker compose does not accept an empty list in the first one.
const strings = fc.uniqueArray(fc.constantFrom('a', 'b', 'c=d', '$SET', '9'), { minLength: 1, maxLength: 3 });
const command = fc.oneof(
  mostly<unknown>(['run', 'run --a "b c"', "sh -c 'x $$Y'", 'a && b', 'a > b', '', 'a\\ b', '$SET x', null], '"open'),
  strings,
);
const port = fc.oneof(
  mostly<unknown>(
    [
      '80',
      81,
      '8080:80',
      '8080-8081:80-81',
      '127.0.0.1:90:90',
      '127.0.0.1::91',
      '9000-9002:92',
      '53:53/udp',
      '$PORT:80',
      '80-82',
      '[::1]:70:70',
      '9:9/tcp',
    ],
    'x:1',
    '',
  ),
  fc.record(
    {
      target: fc.constantFrom(80, '$PORT', '81'),
      published: fc.constantFrom('1', 2, '3-4'),
      protocol: fc.constantFrom('tcp', 'udp'),
      host_ip: fc.constant('127.0.0.1'),
    },
    { requiredKeys: ['target'] },
  ),
);
const mount = fc.oneof(
  fc.constantFrom(
    '/a',
    './b:/b',
    '../c:/c:ro',
    'v:/v',
    'v:/v2:nocopy',
    '.:/d',
    './b/../e:/e/../f',
    '/g:/g:rw,z',
    './h:/h:ro,rslave',
    './b:/c',
    'v:relative',
    './$SET:/$SET',
  ),
  fc.record(
    {
      type: fc.constantFrom('bind', 'volume', 'tmpfs'),
      source: fc.constantFrom('./b', 'v', '/abs', '../up'),
      target: fc.constantFrom('/t', '/u/', '/v', '/c/./d'),
      read_only: flagLike,
      bind: fc.record({ create_host_path: flagLike, propagation: fc.constant('rshared') }, { requiredKeys: [] }),
      tmpfs: fc.record({ size, mode: fc.constantFrom(493, 0) }, { requiredKeys: [] }),
    },
    { requiredKeys: ['type', 'source', 'target'] },
  ),
);
const network = fc.oneof(
  fc.uniqueArray(fc.constantFrom('default', 'n', 'm'), { minLength: 1, maxLength: 2 }),
  fc.dictionary(
    fc.constantFrom('default', 'n', 'm'),
    fc.oneof(fc.constant(null), fc.record({ aliases: strings, priority: fc.nat(9) }, { requiredKeys: [] })),
    { maxKeys: 2 },
  ),
);
const dependsOn = fc.oneof(
  fc.uniqueArray(name, { minLength: 1, maxLength: 1 }),
  fc.dictionary(
    name,
    fc.record(
      { condition: fc.constantFrom('service_started', 'service_healthy'), required: fc.boolean(), restart: flagLike },
      { requiredKeys: ['condition'] },
    ),
    { maxKeys: 1 },
  ),
);
const limits = fc.record(
  { cpus: fc.constantFrom('0.5', 1, '${UNSET:-0.1}'), memory: fc.constantFrom('64m', '1g'), pids: wholeLike },
  { requiredKeys: [] },
);

const FIELDS: Record<string, fc.Arbitrary<unknown>> = {
  ...{ command, entrypoint: command, environment: keyed, labels: keyed, annotations: keyed, sysctls: keyed },
  ...{
    privileged: flagLike,
    read_only: flagLike,
    tty: flagLike,
    init: flagLike,
    scale: fc.constantFrom(0, 1, '2', '$PORT'),
  },
  ...{
    cpus: fc.constantFrom(0.1, '0.5', 2, '1e-1', '.5'),
    cpu_shares: wholeLike,
    pids_limit: wholeLike,
    oom_score_adj: wholeLike,
  },
  ...{
    mem_limit: size,
    shm_size: size,
    memswap_limit: size,
    stop_grace_period: time,
    hostname: variable,
    user: variable,
  },
  ...{
    cap_add: strings,
    security_opt: strings,
    dns: fc.oneof(strings, fc.constant('1.1.1.1')),
    dns_search: fc.oneof(strings, word),
    tmpfs: fc.oneof(strings, fc.constant('/run')),
  },
  ports: fc.array(port, { minLength: 1, maxLength: 3 }),
  expose: fc.uniqueArray(fc.constantFrom('80', 81, '82-83'), { minLength: 1, maxLength: 2 }),
  volumes: fc.array(mount, { minLength: 1, maxLength: 3 }),
  networks: network,
  depends_on: dependsOn,
  extra_hosts: fc.oneof(fc.constant(['h=1.1.1.1', 'g:2.2.2.2']), fc.constant({ h: '1.1.1.1', i: ['[::1]'] })),
  healthcheck: fc.record(
    {
      test: mostly<unknown>(['x', ['CMD', 'x'], ['NONE']], ['y']),
      interval: time,
      retries: wholeLike,
      disable: flagLike,
    },
    { requiredKeys: [] },
  ),
  logging: fc.record(
    { driver: fc.constantFrom('json-file', 'syslog'), options: fc.constant({ a: 1, b: 'x' }) },
    { requiredKeys: [] },
  ),
  deploy: fc.record(
    {
      replicas: wholeLike,
      resources: fc.record({ limits }, { requiredKeys: [] }),
      update_config: fc.record(
        { order: fc.constantFrom('start-first', 'stop-first'), delay: time, parallelism: wholeLike },
        { requiredKeys: [] },
      ),
    },
    { requiredKeys: [] },
  ),
  ulimits: mostly<unknown>([{ nofile: 1 }, { nofile: { soft: 1, hard: '2' } }, { core: '$PORT' }], { x: 'y' }),
  devices: fc.constantFrom(['/dev/a'], ['/dev/a:/dev/b:r'], [{ source: '/dev/a', target: '/dev/b' }]),
  profiles: fc.constantFrom(['p'], ['', 'p']),
  env_file: fc.constantFrom(
    'a.env',
    ['a.env', 'b.env'],
    [{ path: 'a.env' }, { path: 'no.env', required: false }],
    ['b.env'],
  ),
  pull_policy: fc.constantFrom('always', 'if_not_present', 'never'),
  restart: fc.constantFrom('always', 'no', 'on-failure:3'),
  extends: fc.constantFrom('b', 'c', { service: 'base', file: 'lib/base.yaml' }),
  unknown_key: fc.constant(1),
  'x-own': fc.constant({ a: 1 }),
};
/** Mistakes are rare, so that most files are accepted. */
const WEIGHTS: Record<string, number> = { unknown_key: 1, extends: 8 };
const fields = fc.oneof(
  ...Object.keys(FIELDS).map((key) => ({ weight: WEIGHTS[key] ?? 20, arbitrary: fc.constant(key) })),
);

const service = fc
  .uniqueArray(fields, { maxLength: 5 })
  .chain((keys) => fc.record(Object.fromEntries(keys.map((key) => [key, FIELDS[key] as fc.Arbitrary<unknown>]))));

const sections = {
  networks: { n: null, m: { internal: '${YES}', labels: { a: 1 } } },
  volumes: { v: { labels: ['a=1'] } },
};

/** All files of a stack's directory. */
export function composeFiles(): fc.Arbitrary<Record<string, string>> {
  const services = fc.dictionary(name, service, { minKeys: 1, maxKeys: 3 });
  return fc.record({ base: services, over: fc.option(services), env: variable }).map(({ base, over, env }) => {
    const withImage = Object.fromEntries(NAMES.map((key) => [key, { image: `${key}:$SET`, ...base[key] }]));
    const quoted = env.replaceAll('"', '').replaceAll('\t', ' ');
    return {
      'compose.yaml': `${JSON.stringify({ services: withImage, ...sections }, null, 1)}\n`,
      ...(over ? { 'compose.override.yaml': `${JSON.stringify({ services: over }, null, 1)}\n` } : {}),
      'lib/base.yaml':
        'services:\n  base: {image: base, volumes: ["./l:/l"], environment: {L: 1}, ports: ["70:70"], env_file: l.env}\n',
      'lib/l.env': 'FROM_LIB=1\n',
      'a.env': `A=env\nQUOTED="${quoted}"\n`,
      'b.env': 'B=$A-${SET:-x}\nA=again\n',
    };
  });
}
