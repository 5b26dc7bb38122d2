/** Growing pauses after failures, and what ends them early. */
import { beforeEach, expect, test } from 'vitest';
import { createBackoff, pauseMs } from '../../agent/engine/steps/backoff.ts';
import type { Backoff } from '../../agent/engine/types.ts';
import { createSigns } from '../../agent/engine/when/signs.ts';
import { AgentError } from '../../agent/errors.ts';
import { retryAfterOf } from '../../agent/kinds/image/errors.ts';
import type { ReasonCode } from '../../manifests-schema/reasons.ts';

const error = (code: ReasonCode, message = '') => new AgentError({ code, phase: 'apply', message });
const A = 'service:shop/a';
let now: number;
let backoff: Backoff;
beforeEach(() => {
  now = Date.UTC(2026, 2, 1);
  backoff = createBackoff({ clock: { now: () => new Date(now) }, random: () => 1 });
});

test('pauses grow up to five minutes, and start short again after everything was well', () => {
  const pauses = [];
  for (let i = 0; i < 9; i++) {
    backoff.failed(A, 'h', error('PortInUse'));
    pauses.push((backoff.dueMs() ?? 0) / 1_000);
    now += backoff.dueMs() ?? 0;
    expect(backoff.held(A, 'h')).toBeNull();
  }
  expect(pauses).toEqual([5, 10, 20, 40, 80, 160, 300, 300, 300]);
  backoff.well(A);
  backoff.failed(A, 'h', error('PortInUse'));
  expect(backoff.dueMs()).toBe(5_000);
});

test('another declaration of the same resource is tried at once', () => {
  backoff.failed(A, 'h', error('PortInUse'));
  expect(backoff.held(A, 'h')?.until).toBe(new Date(now + 5_000).toISOString());
  expect(backoff.held(A, 'other')).toBeNull();
});

test('another commit retries everything, the same commit does not', () => {
  backoff.trying('one');
  backoff.failed(A, 'h', error('PortInUse'));
  backoff.trying('one');
  expect(backoff.held(A, 'h')).not.toBeNull();
  backoff.trying('two');
  expect(backoff.held(A, 'h')).toBeNull();
});

test('a clock that is set back does not lengthen a pause', () => {
  backoff.failed(A, 'h', error('PortInUse'));
  now -= 3_600_000;
  expect(backoff.held(A, 'h')).toBeNull();
});

test.each<[string, string, number]>([
  ['a registry that sets a delay is asked once in that time', 'toomanyrequests: retry-after: 30s', 30_000],
  ['a very long delay is respected as well', 'Retry-After: 3600', 3_600_000],
  ['a registry without a delay is asked once in half a minute', 'toomanyrequests: too many', 30_000],
  [
    'a delay of less than a second counts as none',
    'toomanyrequests: retry-after: 714.8µs, allowed: 44000/minute',
    30_000,
  ],
])('%s', (_claim, message, least) => {
  const first = pauseMs({ code: 'RateLimited', retryAfterMs: retryAfterOf(message) }, 1, 0);
  expect(first).toBeGreaterThanOrEqual(least);
  expect(first).toBeLessThanOrEqual(least + 1_000);
});

test.each<[string, ReasonCode, { links?: string; ports?: string[] }, boolean]>([
  ['a freed port ends the pause of a resource that needs it', 'PortInUse', { ports: [] }, true],
  ['a port that is in use ends no pause', 'PortInUse', { ports: ['tcp :0050', 'tcp :1234'] }, false],
  ['a freed port does not end the pause of a pull', 'ImagePullFailed', { ports: [] }, false],
  ['a new address or route ends the pause of a pull', 'ImagePullFailed', { links: 'eth0 10.0.0.2' }, true],
  ['no change ends no pause', 'PortInUse', {}, false],
])('%s', (_claim, code, change, isTried) => {
  let network = { links: '', ports: new Set(['tcp :0050']) };
  let ended = 0;
  const signs = createSigns({ backoff, look: () => network, ended: () => ended++, isBusy: () => false });
  backoff.failed(A, 'h', error(code));
  signs.look();
  network = { links: change.links ?? '', ports: new Set(change.ports ?? ['tcp :0050']) };
  signs.look();
  expect({ isTried: backoff.held(A, 'h') === null, ended }).toEqual({ isTried, ended: isTried ? 1 : 0 });
});

test('an event of a missing dependency ends the pause, an event of a container that cannot start does not', () => {
  let ended = 0;
  const network = { links: '', ports: new Set<string>() };
  const signs = createSigns({ backoff, look: () => network, ended: () => ended++, isBusy: () => false });
  backoff.failed('network:shop/web', 'h', error('NetworkMissing'));
  backoff.failed(A, 'h', error('EngineRefused'));
  signs.touched([A]);
  expect(ended).toBe(0);
  signs.touched(['network:shop/web']);
  expect(ended).toBe(1);
});

test('an event that arrives during a run counts after it', () => {
  let ended = 0;
  let isBusy = true;
  const network = { links: '', ports: new Set<string>() };
  const signs = createSigns({ backoff, look: () => network, ended: () => ended++, isBusy: () => isBusy });
  signs.touched(['network:shop/web']);
  backoff.failed('network:shop/web', 'h', error('NetworkMissing'));
  signs.look();
  expect(ended).toBe(0);
  isBusy = false;
  signs.look();
  expect(ended).toBe(1);
});
