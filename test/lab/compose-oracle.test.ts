/**
 * fairlead's model of a compose file equals that of `docker compose config`. The oracle is docker compose 2.40 on a Debian 13
 * host.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { pathsOf } from '../../agent/compose/spec/shape.ts';
import { project as specification } from '../../agent/compose/spec/spec.ts';
import { allCases, type Case } from '../compose/cases.ts';
import { composeFiles } from '../compose/generated.ts';
import { loadCase } from '../compose/load.ts';
import { mutations } from '../compose/mutate.ts';
import { type Answer, askOracle, differences } from '../compose/oracle.ts';
import { classOf } from '../compose/table.ts';
import { pathsIn } from '../compose/touched.ts';
import { type Lab, startLab } from './lab.ts';

let lab: Lab;
const shell = async (script: string) => (await lab.host('oracle').exec(['sh', '-e'], { input: script })).stdout;

beforeAll(async () => {
  lab = await startLab({ name: 'compose', infra: 'shared', hosts: [{ name: 'oracle' }] });
  const { stdout } = await lab.host('oracle').exec(['docker', 'compose', 'version', '--short']);
  expect(stdout).toMatch(/^2\.40\./);
});
afterAll(async () => lab?.stop());

/** The error of one case, or null. */
function verdict(one: Case, answer: Answer | undefined): string | null {
  if (answer === undefined) return 'docker compose gave no answer';
  const { issues, project } = loadCase(one);
  const errors = issues.filter((i) => i.severity === 'error').map((i) => `${i.line}:${i.column} ${i.message}`);
  const theyRefuse = one.refused || one.looser !== '';
  if ((answer.project === null) !== theyRefuse)
    return `docker compose ${theyRefuse ? 'takes' : 'refuses'} it: ${answer.error}`;
  if (errors.length > 0 !== (one.refused || one.stricter !== '')) return `fairlead: ${errors.join('; ') || 'takes it'}`;
  if (answer.project === null || errors.length > 0) return null;
  return differences(answer.project, JSON.parse(JSON.stringify(project))).join('\n') || null;
}

const failures = (cases: readonly Case[], answers: ReadonlyMap<string, Answer>) =>
  cases.flatMap((one) => {
    const wrong = verdict(one, answers.get(one.slug));
    return wrong === null ? [] : [`${one.name}: ${wrong}\n${JSON.stringify(one.files, null, 1)}`];
  });

describe('compose files of our own', () => {
  const cases = allCases();
  let answers: ReadonlyMap<string, Answer>;
  beforeAll(async () => {
    answers = await askOracle(shell, cases);
  });

  test('are read as docker compose reads them, and refused if it refuses them', () => {
    expect(answers.size).toBe(cases.length);
    expect(failures(cases, answers)).toEqual([]);
  });

  test('use every path of the Specification that is documented as equal', () => {
    const touched = new Set(
      cases.filter((one) => !one.refused && !one.stricter && !one.looser).flatMap((one) => [...pathsIn(one)]),
    );
    const equal = pathsOf(specification).filter(({ shape }) => classOf(shape) === 'equal');
    expect(equal.length).toBeGreaterThan(200);
    expect(equal.map(({ path }) => path).filter((path) => !touched.has(path))).toEqual([]);
  });

  test('make the comparison fail if any field of the model differs', () => {
    let tried = 0;
    for (const one of cases) {
      const theirs = answers.get(one.slug)?.project;
      if (!theirs || one.stricter) continue;
      const ours = JSON.parse(JSON.stringify(loadCase(one).project)) as unknown;
      for (const { path, mutant } of mutations(ours)) {
        tried++;
        expect(differences(theirs, mutant).length, `${one.name}: ${path}`).toBeGreaterThan(0);
      }
    }
    expect(tried).toBeGreaterThan(2_000);
  });
});

test('generated compose files are read as docker compose reads them', async () => {
  const seed = Number(process.env.FAIRLEAD_SEED ?? 20_261_124);
  const cases = fc.sample(composeFiles(), { seed, numRuns: 200 }).map(
    (files, i): Case => ({
      ...{ name: `generated ${i} of seed ${seed}`, slug: `generated-${i}`, files, dir: '', stricter: '', looser: '' },
      ...{ vars: { SET: 'set', EMPTY: '', PORT: '8080', YES: 'true' }, refused: false },
    }),
  );
  const answers = await askOracle(shell, cases);
  const judged = cases.map((one) => ({ ...one, refused: answers.get(one.slug)?.project === null }));
  expect(judged.filter((one) => !one.refused).length).toBeGreaterThan(100);
  expect(judged.filter((one) => one.refused).length).toBeGreaterThan(5);
  expect(failures(judged, answers)).toEqual([]);
});
