/**
 * The top level of the Compose Specification (JSON Schema of 2026-06-29): what its schema allows, and how Compose merges it.
 */
import {
  ANY,
  boolOr,
  dictionary,
  joined,
  keyed,
  list,
  NAME,
  nullable,
  object,
  options,
  type Shape,
  str,
  stringOrList,
} from './shape.ts';
import { service } from './spec-service.ts';

const external = (more: Partial<Shape> = {}): Shape => ({
  ...object({ name: str(more) }, { extensible: true }),
  types: ['bool', 'string'],
  cast: 'bool',
  out: 'bool',
});
/** Keys of an external config or secret. */
export const KEPT_BY_SWARM = 'is kept by a swarm, which a host is not; give `file` or `environment`';
const NO_SWARM = 'needs a swarm, which hosts are not; remove it';

const network = nullable(
  object(
    {
      name: str(),
      driver: str(),
      driver_opts: options(['string', 'int', 'float']),
      ipam: object(
        {
          driver: str(),
          config: list(
            object({
              subnet: str(),
              ip_range: str(),
              gateway: str(),
              aux_addresses: dictionary(ANY, str(), { out: 'mapping' }),
            }),
            { merge: 'ipam' },
          ),
          // Compose reads these, and passes them on to nobody.
          options: dictionary(ANY, str(), {
            out: 'drop',
            refuse: 'is not passed on to an engine by Compose; remove it',
          }),
        },
        { keep: true },
      ),
      external: external(),
      internal: boolOr({ cast: 'bool' }),
      enable_ipv4: boolOr({ cast: 'bool', keep: true }),
      enable_ipv6: boolOr({ cast: 'bool', keep: true }),
      attachable: boolOr({ cast: 'bool' }),
      labels: joined('labels'),
    },
    { longForm: 'external' },
  ),
);

const volume = nullable(
  object(
    {
      name: str(),
      driver: str(),
      driver_opts: options(['string', 'int', 'float']),
      external: external(),
      labels: keyed('labels', { merge: 'sequence' }),
    },
    { longForm: 'external' },
  ),
);

const fileObject = (more: Record<string, Shape>): Shape =>
  object(
    {
      name: str(),
      file: str(),
      environment: str(),
      external: external({ refuse: KEPT_BY_SWARM }),
      labels: keyed('labels'),
      template_driver: str({ refuse: NO_SWARM }),
      ...more,
    },
    { longForm: 'external' },
  );

const model = object(
  {
    name: str(),
    model: str(),
    context_size: { types: ['int'], out: 'int' },
    runtime_flags: list(str()),
  },
  { required: ['model'] },
);

const include: Shape = {
  ...object({ path: stringOrList(), env_file: stringOrList(), project_directory: str() }, { extensible: false }),
  types: ['string'],
};

export const project: Shape = object({
  version: str(),
  name: str(),
  include: list(include),
  services: dictionary(NAME, service),
  // The schema allows any name in these mappings only.
  networks: dictionary(ANY, network),
  volumes: dictionary(NAME, volume),
  secrets: dictionary(
    NAME,
    fileObject({
      driver: str({ refuse: NO_SWARM }),
      driver_opts: options(['string', 'int', 'float'], { refuse: NO_SWARM }),
    }),
  ),
  configs: dictionary(NAME, fileObject({ content: str() })),
  models: dictionary(NAME, nullable(model), {
    refuse: 'is not run on hosts; run the model as a service of its own',
  }),
});
