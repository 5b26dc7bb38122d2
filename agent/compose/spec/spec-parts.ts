/** The Compose Specification: the larger parts of a service. */
import {
  ANY,
  boolOr,
  command,
  dictionary,
  duration,
  hosts,
  intOr,
  joined,
  keyed,
  list,
  nullable,
  numberOr,
  object,
  type Shape,
  str,
  stringOrList,
  strings,
} from './shape.ts';

const PASSED_OVER = 'is for a swarm, and passed over here as `docker compose up` does; remove it';
const SWARM = 'needs a swarm, which a host is not; remove it';

// The schema names the usual ones, and takes others.
export const ulimits: Shape = dictionary(ANY, {
  ...object(
    { soft: intOr({ cast: 'int' }), hard: intOr({ cast: 'int' }) },
    { required: ['soft', 'hard'], merge: 'ulimit', out: 'ulimit', cast: 'int' },
  ),
  types: ['int', 'string'],
});

export const deviceRequest = (more: Partial<Shape> = {}): Shape =>
  object(
    {
      capabilities: strings(),
      count: { types: ['string', 'int'], out: 'count' },
      device_ids: strings(),
      driver: str(),
      options: keyed('mapping'),
    },
    more,
  );

export const hook = (more: Record<string, Shape> = {}): Shape =>
  object({
    command: command(),
    user: str(),
    privileged: boolOr(),
    working_dir: str(),
    environment: keyed('environment'),
    ...more,
  });

const update = (more: Partial<Shape> = {}): Shape =>
  object(
    {
      parallelism: intOr({ cast: 'int', out: 'uint', keep: true }),
      delay: duration(),
      failure_action: str(),
      monitor: duration(),
      max_failure_ratio: numberOr({ cast: 'float', out: 'float32' }),
      order: str({ enum: ['start-first', 'stop-first'] }),
    },
    more,
  );

export const deploy: Shape = nullable(
  object({
    mode: str(),
    endpoint_mode: str({ passOver: PASSED_OVER }),
    replicas: intOr({ cast: 'int', keep: true }),
    labels: keyed('labels', {
      passOver: 'labels a swarm service, and no container; use `labels` of the service',
    }),
    rollback_config: update({ refuse: SWARM }),
    update_config: update(),
    resources: object(
      {
        limits: object({
          cpus: numberOr({ out: 'cpus' }),
          memory: { types: ['string'], out: 'bytes' },
          pids: intOr(),
        }),
        reservations: object({
          cpus: numberOr({ out: 'cpus' }),
          memory: { types: ['string'], out: 'bytes' },
          generic_resources: list(
            object({
              discrete_resource_spec: object({
                kind: str({ keep: true }),
                value: numberOr({ keep: true }),
              }),
            }),
            { refuse: SWARM },
          ),
          devices: list(deviceRequest({ required: ['capabilities'] })),
        }),
      },
      { keep: true },
    ),
    restart_policy: object({
      condition: str(),
      delay: duration({ keep: true }),
      max_attempts: intOr({ cast: 'int', out: 'uint', keep: true }),
      window: duration({ keep: true }),
    }),
    placement: object(
      {
        constraints: list(str()),
        preferences: list(object({ spread: str() })),
        max_replicas_per_node: intOr({ cast: 'int', out: 'uint' }),
      },
      { keep: true, passOver: PASSED_OVER },
    ),
  }),
);

/** Named so that a typo in them is found, and refused as a whole. */
export const build: Shape = {
  ...object(
    {
      context: str(),
      dockerfile: str(),
      dockerfile_inline: str(),
      entitlements: list(str()),
      args: joined('environment'),
      ssh: keyed('mapping'),
      labels: joined('labels'),
      cache_from: list(str()),
      cache_to: list(str()),
      no_cache: boolOr(),
      no_cache_filter: stringOrList({ young: true }),
      additional_contexts: joined('mapping', { longForm: 'keyed' }),
      network: str(),
      pull: boolOr(),
      provenance: boolOr(),
      sbom: boolOr(),
      target: str(),
      shm_size: intOr({ out: 'bytes' }),
      extra_hosts: hosts(),
      isolation: str(),
      privileged: boolOr(),
      secrets: list({
        ...object({
          source: str(),
          target: str(),
          uid: str(),
          gid: str(),
          mode: numberOr({ out: 'uint', keep: true }),
        }),
        types: ['string'],
        longForm: 'source',
      }),
      tags: list(str(), { identity: 'key' }),
      ulimits,
      platforms: list(str()),
    },
    { merge: 'build', longForm: 'context' },
  ),
  types: ['string'],
  refuse: 'asks a host to build an image, which hosts do not do; push the image to a registry and name it with `image`',
};

export const watch: Shape = {
  ...nullable(
    object({
      watch: list(
        object(
          {
            ignore: stringOrList({ unique: false }),
            include: stringOrList({ unique: false }),
            path: str(),
            action: str({ enum: ['rebuild', 'sync', 'restart', 'sync+restart', 'sync+exec'] }),
            target: str(),
            exec: hook(),
            initial_sync: boolOr(),
          },
          { required: ['path', 'action'] },
        ),
      ),
    }),
  ),
  refuse: 'is for a development machine; move it to a file that only that machine reads',
};

export const provider: Shape = object(
  {
    type: str(),
    options: dictionary(/[\s\S]/, {
      ...list({ types: ['string', 'int', 'float', 'bool'] }),
      types: ['string', 'int', 'float', 'bool'],
    }),
  },
  {
    required: ['type'],
    refuse: 'runs a program of the machine in place of a container; make it a unit or a job',
  },
);
