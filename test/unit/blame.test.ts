/**
 * The tables of blame: whether a failure is the commit's fault, what the verdict on a commit is, and how long settling may take.
 */
import { describe, expect, test } from 'vitest';
import { type Failure, faultOf, weigh } from '../../agent/core/plan/blame.ts';
import { patienceOf } from '../../agent/core/plan/patience.ts';
import { createBlame } from '../../agent/engine/decide/weigh.ts';
import { type Fault, REASONS, type ReasonCode } from '../../manifests-schema/reasons.ts';

describe('the fault for a failure', () => {
  test.each<[string, Failure, Fault]>([
    ['an unwell service is the commit’s fault', { code: 'Unhealthy' }, 'commit'],
    ['a failed job is the commit’s fault', { code: 'JobFailed' }, 'commit'],
    ['a job that exits with 75 is a temporary failure', { code: 'TemporaryFailure' }, 'wait'],
    ['an unreachable registry is a temporary failure', { code: 'ImagePullFailed' }, 'wait'],
    ['a registry’s rate limit is a temporary failure', { code: 'RateLimited' }, 'wait'],
    ['a full disk is a temporary failure', { code: 'DiskFull' }, 'wait'],
    ['an unreachable Docker engine is a temporary failure', { code: 'EngineUnreachable' }, 'wait'],
    ['a missing external network needs an operator', { code: 'NetworkMissing' }, 'host'],
    ['a missing external volume needs an operator', { code: 'VolumeMissing' }, 'host'],
    ['a port in use needs an operator', { code: 'PortInUse' }, 'host'],
    ['a name in use needs an operator', { code: 'NameConflict' }, 'host'],
    ['a missing device needs an operator', { code: 'DeviceMissing' }, 'host'],
    ['a missing mount needs an operator', { code: 'MountMissing' }, 'host'],
    ['a missing user needs an operator', { code: 'UnknownOwner' }, 'host'],
    ['a unit that cannot be disabled needs an operator', { code: 'NotInstallable' }, 'host'],
    ['a read-only file system needs an operator', { code: 'FileFailed' }, 'host'],
    ['a resource that was unwell before is not the commit’s fault', { code: 'UnitFailed', wasUnwell: true }, 'host'],
    ['a failed removal is not the commit’s fault', { code: 'UnitFailed', isRemoval: true }, 'host'],
    ['an outage stays an outage, whatever the state before', { code: 'DiskFull', wasUnwell: true }, 'wait'],
  ])('%s', (_claim, failure, fault) => {
    expect(faultOf(failure)).toBe(fault);
  });

  test('every reason has a verdict, and only faults of the commit cause a rollback', () => {
    const own = Object.entries(REASONS).filter(([code]) => faultOf({ code: code as ReasonCode }) === 'commit');
    expect(own.map(([code]) => code).sort()).toEqual([
      // Another commit ends this reason; it belongs to no resource, so nothing is rolled back.
      'AgentUpgradeFailed',
      'ApplyFailed',
      'DependencyNotReady',
      'EngineRefused',
      'HookFailed',
      'InvalidCommit',
      'InvalidFile',
      'InvalidImage',
      'InvalidManifest',
      'InvalidRepository',
      'InvalidUnit',
      'JobFailed',
      'JobTimeout',
      'OwnPath',
      // Same as the first row.
      'PackageMismatch',
      'PrepareFailed',
      'Unassigned',
      'Unhealthy',
      'UnitFailed',
      'WayHomeShut',
    ]);
  });

  test('a resource that waited for one that was unwell before is not blamed for it', () => {
    const want = (id: 'service:p/app' | 'service:p/db', after: readonly 'service:p/db'[] = []) => ({
      id,
      spec: {},
      hash: '',
      after,
      notify: [],
      origin: { file: '', line: 1, layer: '' },
    });
    const blame = createBlame(
      [want('service:p/app', ['service:p/db']), want('service:p/db')],
      new Set(['service:p/db']),
    );
    expect(blame('service:p/app', 'DependencyNotReady')).toBe('host');
    expect(blame('service:p/app', 'Unhealthy')).toBe('commit');
  });
});

test.each<[string, Fault[], { stopped?: boolean; isWhole?: boolean }, string]>([
  ['nothing failed', [], {}, 'well'],
  ['only failures for an operator remain', ['host', 'host'], {}, 'partly'],
  ['a resource failed by the commit’s fault', ['host', 'commit'], {}, 'unwell'],
  ['an outage lasts', ['commit', 'wait'], {}, 'open'],
  ['the agent was stopped', ['commit'], { stopped: true }, 'open'],
  ['a resource is in progress', [], { isWhole: false }, 'open'],
  ['a resource is in progress, and another needs an operator', ['host'], { isWhole: false }, 'open'],
  ['a resource is in progress, and another has failed already', ['commit'], { isWhole: false }, 'unwell'],
])('a commit under which %s: %j', (_case, faults, { stopped = false, isWhole = true }, proof) => {
  expect(weigh({ faults, stopped, isWhole })).toBe(proof);
});

const S = 1_000;
test.each<[string, Parameters<typeof patienceOf>, number]>([
  ['a service that ran before has 90 s', [{ timeoutMs: 300 * S }, false, []], 90 * S],
  ['a new service has settle.timeout', [{ timeoutMs: 300 * S }, true, []], 300 * S],
  ['a shorter settle.timeout bounds the default', [{ timeoutMs: 30 * S }, false, []], 30 * S],
  ['settle.patience applies on its own', [{ timeoutMs: 30 * S, patienceMs: 600 * S }, false, []], 600 * S],
  ['the longest limit counts', [{ timeoutMs: 30 * S }, false, [240 * S, 60 * S]], 240 * S],
  ['a shorter limit of a service shortens nothing', [{ timeoutMs: 300 * S }, true, [10 * S]], 300 * S],
])('patience: %s', (_claim, given, ms) => {
  expect(patienceOf(...given)).toBe(ms);
});
