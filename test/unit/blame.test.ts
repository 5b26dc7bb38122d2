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
    ['a service that is not well is the commit’s own', { code: 'Unhealthy' }, 'commit'],
    ['a job that fails is the commit’s own', { code: 'JobFailed' }, 'commit'],
    ['a job that exits 75 asks for another try', { code: 'TemporaryFailure' }, 'wait'],
    ['a registry that is away passes by itself', { code: 'ImagePullFailed' }, 'wait'],
    ['a registry that limits this host passes by itself', { code: 'RateLimited' }, 'wait'],
    ['a full disk passes by itself', { code: 'DiskFull' }, 'wait'],
    ['an engine that is away passes by itself', { code: 'EngineUnreachable' }, 'wait'],
    ['an external network that nobody made needs a hand', { code: 'NetworkMissing' }, 'host'],
    ['an external volume that nobody made needs a hand', { code: 'VolumeMissing' }, 'host'],
    ['a port that is taken needs a hand', { code: 'PortInUse' }, 'host'],
    ['a name that is taken needs a hand', { code: 'NameConflict' }, 'host'],
    ['a device that is missing needs a hand', { code: 'DeviceMissing' }, 'host'],
    ['a mount that is missing needs a hand', { code: 'MountMissing' }, 'host'],
    ['a user that is missing needs a hand', { code: 'UnknownOwner' }, 'host'],
    ['a unit that cannot be disabled needs a hand', { code: 'NotInstallable' }, 'host'],
    ['a file system that is read-only needs a hand', { code: 'FileFailed' }, 'host'],
    ['what was unwell before speaks against no commit', { code: 'UnitFailed', wasUnwell: true }, 'host'],
    ['what fails while it is removed speaks against no commit', { code: 'UnitFailed', isRemoval: true }, 'host'],
    ['an outage stays one, whatever was before', { code: 'DiskFull', wasUnwell: true }, 'wait'],
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
  ['only what needs a hand failed', ['host', 'host'], {}, 'partly'],
  ['something of its own failed', ['host', 'commit'], {}, 'unwell'],
  ['an outage lasts', ['commit', 'wait'], {}, 'open'],
  ['the agent was stopped', ['commit'], { stopped: true }, 'open'],
  ['something is on its way', [], { isWhole: false }, 'open'],
  ['something is on its way, and something needs a hand', ['host'], { isWhole: false }, 'open'],
  ['something is on its way, and it is lost already', ['commit'], { isWhole: false }, 'unwell'],
])('a commit under which %s: %j', (_case, faults, { stopped = false, isWhole = true }, proof) => {
  expect(weigh({ faults, stopped, isWhole })).toBe(proof);
});

const S = 1_000;
test.each<[string, Parameters<typeof patienceOf>, number]>([
  ['what ran before has 90 s', [{ timeoutMs: 300 * S }, false, []], 90 * S],
  ['what never ran has settle.timeout', [{ timeoutMs: 300 * S }, true, []], 300 * S],
  ['a shorter settle.timeout bounds the default', [{ timeoutMs: 30 * S }, false, []], 30 * S],
  ['settle.patience is a word of its own', [{ timeoutMs: 30 * S, patienceMs: 600 * S }, false, []], 600 * S],
  ['the longest bound counts', [{ timeoutMs: 30 * S }, false, [240 * S, 60 * S]], 240 * S],
  ['a shorter bound of its own takes nothing away', [{ timeoutMs: 300 * S }, true, [10 * S]], 300 * S],
])('patience: %s', (_claim, given, ms) => {
  expect(patienceOf(...given)).toBe(ms);
});
