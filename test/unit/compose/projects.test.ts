/** The projects that the lab starts with both tools cover every path of the Specification that both tools handle equally. */
import { describe, expect, test } from 'vitest';
import { pathsOf } from '../../../agent/compose/spec/shape.ts';
import { project as specification } from '../../../agent/compose/spec/spec.ts';
import { classOf } from '../../compose/table.ts';
import { pathsIn } from '../../compose/touched.ts';
import { asRepo, PROJECTS } from '../../lab/projects.ts';
import { loadRepo, messages } from '../repo.ts';

/**
 * Paths, each with everything below it, that cannot be compared between both tools in the lab; requests.test.ts checks their
 * requests.
 */
const APART: Record<string, string> = {
  'services.*.cpu_rt_period': 'the lab’s kernel has no real-time scheduling of groups',
  'services.*.cpu_rt_runtime': 'the lab’s kernel has no real-time scheduling of groups',
  'services.*.gpus': 'the lab has no graphics processor',
  'services.*.deploy.resources.reservations.devices': 'the lab has no such devices',
  'services.*.deploy.endpoint_mode': 'for a swarm: docker compose passes over it',
  'services.*.deploy.labels': 'for a swarm: docker compose passes over it',
  'services.*.deploy.placement': 'for a swarm: docker compose passes over it',
  'services.*.storage_opt': 'the lab’s disk has no quotas',
  'configs.*.content': 'docker compose 2.40 copies it into the container; fairlead mounts a file',
  'configs.*.environment': 'docker compose 2.40 copies it into the container; fairlead mounts a file',
  'secrets.*.environment': 'docker compose 2.40 copies it into the container; fairlead mounts a file',
  'services.*.use_api_socket': 'docker compose 2.40 copies the logins into the container; fairlead mounts a file',
};

const equal = pathsOf(specification)
  .filter(({ shape }) => classOf(shape) === 'equal')
  .map(({ path }) => path);
const touched = new Set(Object.values(PROJECTS).flatMap((files) => [...pathsIn({ files })]));
const isExcluded = (path: string) =>
  Object.keys(APART).some(
    (apart) => path === apart || (path.startsWith(apart) && /[.[]/.test(path[apart.length] ?? '')),
  );

test('there are enough projects', () => {
  expect(Object.keys(PROJECTS).length).toBeGreaterThanOrEqual(80);
});

test('the projects have every path that fairlead reads as docker compose does', () => {
  expect(equal.length).toBeGreaterThan(300);
  expect(equal.filter((path) => !touched.has(path) && !isExcluded(path))).toEqual([]);
});

test('no excluded path occurs in the projects, and every excluded path exists', () => {
  expect(Object.keys(APART).filter((path) => touched.has(path) || !equal.includes(path))).toEqual([]);
});

describe('each project', async () => {
  const loaded = await loadRepo(
    Object.fromEntries(Object.entries(asRepo(PROJECTS)).map(([file, text]) => [`hosts/a/${file}`, text])),
  );
  test('loads without an error', () => {
    expect(messages({ ...loaded, issues: loaded.issues.filter((i) => i.severity === 'error') })).toEqual([]);
  });
});
