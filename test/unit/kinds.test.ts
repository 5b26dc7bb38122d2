/** The table of kinds as a whole: what core and engine rely on, whatever kinds exist. */
import { expect, test } from 'vitest';
import { definitionOf, rankOf, type Traits } from '../../agent/core/kind.ts';
import type { ResourceId } from '../../agent/core/types.ts';
import { KINDS } from '../../agent/kinds/index.ts';
import { KINDS as NAMES } from '../../manifests-schema/kinds/index.ts';
import { providers } from './repo.ts';

const all = [...KINDS.values()];

test('every kind has one definition and one provider under its own name', () => {
  expect([...KINDS.keys()].sort()).toEqual([...NAMES].sort());
  expect(all.map((kind) => kind.name)).toEqual([...KINDS.keys()]);
  expect([...providers().values()].map((provider) => provider.kind).sort()).toEqual([...NAMES].sort());
});

test('the default order: settings, networks and volumes, files, units, services, jobs, checks', () => {
  const groups = [...Map.groupBy(all, (kind) => kind.rank)].sort(([a], [b]) => a - b);
  expect(groups.map(([, kinds]) => kinds.map((kind) => kind.name).join(' '))).toEqual([
    'sysctl',
    'network volume',
    'file',
    'unit',
    'service',
    'job',
    'check',
  ]);
});

test('these kinds answer a trait differently from most', () => {
  const names = (is: (traits: Traits) => boolean) =>
    all
      .filter((kind) => is(kind.traits))
      .map((kind) => kind.name)
      .join(' ');
  expect({
    runsSomething: names((t) => t.observing === 'runs something'),
    neverDrifts: names((t) => !t.drifts),
    reObservable: names((t) => t.confirm === 're-observable'),
    harmlessWhenNew: names((t) => t.harmlessWhenNew),
    survivesDecommission: names((t) => t.survivesDecommission),
    judgesEveryRun: names((t) => t.judgesEveryRun),
    mayRepeat: names((t) => t.mayRepeat),
    skippedOnRollback: names((t) => t.onRollback({}) !== 'run'),
  }).toEqual({
    runsSomething: 'job check',
    neverDrifts: 'job check',
    reObservable: 'sysctl file',
    harmlessWhenNew: 'file',
    survivesDecommission: 'volume',
    judgesEveryRun: 'check',
    mayRepeat: 'file',
    skippedOnRollback: 'job',
  });
});

test('a section declares one kind', () => {
  const sections = all.flatMap((kind) => kind.declared?.section ?? []);
  expect(new Set(sections).size).toBe(sections.length);
});

test('an id of an unknown kind is refused', () => {
  expect(() => definitionOf(KINDS, 'package:curl' as ResourceId)).toThrow('not a resource id: package:curl');
  expect(() => rankOf(KINDS, 'motd' as ResourceId)).toThrow('not a resource id: motd');
});
