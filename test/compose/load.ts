/** Loads a case as the agent would. */
import { type LoadedProject, loadProject } from '../../agent/compose/load/load.ts';
import type { Case } from './cases.ts';

export const TREE = '/var/lib/fairlead/tree';
export const repoDir = ({ slug }: Pick<Case, 'slug'>): string => `hosts/oracle/${slug}`;

const BASE = ['compose.yaml', 'compose.yml', 'docker-compose.yml', 'docker-compose.yaml'];
const OVERRIDE = BASE.map((name) => name.replace('.y', '.override.y'));

export function loadCase(given: Case): LoadedProject {
  const root = repoDir(given);
  const dir = given.dir === '' ? root : `${root}/${given.dir}`;
  const repo = new Map(Object.entries(given.files).map(([file, text]) => [`${root}/${file}`, text]));
  const first = (names: readonly string[]) => names.map((name) => `${dir}/${name}`).find((file) => repo.has(file));
  const files = [first(BASE), first(OVERRIDE)].flatMap((file) =>
    file === undefined ? [] : [{ path: file, text: repo.get(file) ?? '', layer: 'hosts/oracle' }],
  );
  const env = repo.get(`${dir}/.env`);
  return loadProject({
    dir,
    hostDir: `${TREE}/${dir}`,
    files,
    env: env === undefined ? null : { path: `${dir}/.env`, text: env },
    vars: new Map(Object.entries(given.vars)),
    builtins: new Map(),
    read: (path) => repo.get(path),
    roots: ['hosts/oracle'],
  });
}
