/** Fleet repositories of any size for the benchmark, created and changed by `git fast-import`: 100,000 hosts in seconds. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { git } from '../../unit/git/backend.ts';
import type { Step } from '../report/catalogue.ts';

export interface FleetShape {
  hosts: number;
  /** By region and site: a hundred regions of a hundred sites of a hundred hosts, as far as there are that many. */
  nested: boolean;
  /** Bytes of one more payload file of our host; 0 for none. */
  payload: number;
}

export interface Fleet {
  dir: string;
  /** Directory of our host. */
  host: string;
  /** Commits the change of a step. */
  change(step: Step): void;
}

const FILES = 5;
const SITE = 100;
const REGION = SITE ** 2;
/** Number of regions of a nested fleet with hosts of their own; the others are copies of these, each with one more file. */
const OWN_REGIONS = 10;

/** @param root directory for `fleet.git` */
export function makeFleet(root: string, shape: FleetShape): Fleet {
  const dir = path.join(root, 'fleet.git');
  git(root, 'init', '-q', '--bare', '-b', 'main', dir);
  for (const key of ['uploadpack.allowFilter', 'uploadpack.allowAnySHA1InWant']) git(dir, 'config', key, 'true');
  git(dir, 'config', 'fastimport.unpackLimit', '0');
  let commits = 0;
  /** @param copies directories, each with its new name; their trees are not read for it */
  const commit = (
    files: Iterable<[string, string | Buffer]>,
    message: string,
    copies: readonly [string, string][] = [],
  ): void => {
    const parts: (string | Buffer)[] = [
      `commit refs/heads/main\ncommitter Ann <ann@example.com> ${1_700_000_000 + commits++} +0000\n`,
      `data ${message.length}\n${message}\n`,
      commits > 1 ? 'from refs/heads/main^0\n' : '',
      ...copies.map(([from, to]) => `C ${from} ${to}\n`),
    ];
    for (const [name, content] of files) parts.push(`M 100644 inline ${name}\ndata ${content.length}\n`, content, '\n');
    execFileSync('git', ['fast-import', '--quiet', '--date-format=raw'], {
      cwd: dir,
      input: Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part))),
      maxBuffer: 2 ** 30,
    });
  };
  const own = shape.nested ? Math.min(shape.hosts, OWN_REGIONS * REGION) : shape.hosts;
  commit(filesOf({ ...shape, hosts: own }), 'The fleet');
  const more = Array.from({ length: (shape.hosts - own) / REGION }, (_, i) => i + OWN_REGIONS);
  if (more.length > 0)
    commit(
      more.map((region): [string, string] => [`hosts/region-${region}/README`, `region ${region}\n`]),
      'More regions',
      more.map((region): [string, string] => [`hosts/region-${region % OWN_REGIONS}`, `hosts/region-${region}`]),
    );
  git(dir, 'repack', '-adq');
  return {
    dir,
    host: hostPath(1, shape.nested),
    change(step) {
      const file = {
        first: null,
        other: `${hostPath(Math.min(shape.hosts - 1, 7), shape.nested)}/f1.yaml`,
        change: `${hostPath(1, shape.nested)}/f1.yaml`,
        role: 'roles/web/system.yaml',
        poll: null,
      }[step];
      if (file !== null) commit([[file, `files: {} # changed ${commits}\n`]], step);
    },
  };
}

const hostPath = (n: number, nested: boolean) =>
  nested ? `hosts/region-${Math.floor(n / REGION)}/site-${Math.floor(n / SITE)}/edge-${n}` : `hosts/edge-${n}`;

function* filesOf({ hosts, nested, payload }: FleetShape): Generator<[string, string | Buffer]> {
  yield ['fleet.yaml', 'name: bench\n'];
  for (const role of ['web', 'db']) yield [`roles/${role}/system.yaml`, `# ${role}\n`];
  if (payload > 0) {
    yield [`${hostPath(1, nested)}/files/payload`, randomBytes(payload)];
    yield [`${hostPath(1, nested)}/payload.yaml`, 'files: {/srv/payload: {source: files/payload}}\n'];
  }
  for (let n = 0; n < hosts; n++) {
    const at = hostPath(n, nested);
    yield [`${at}/host.yaml`, 'roles: [web]\n'];
    for (let k = 1; k < FILES; k++) yield [`${at}/f${k}.yaml`, `# file ${k} of host ${n}\nfiles: {}\n`];
  }
}
