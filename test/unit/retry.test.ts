/** When the agent reconnects to the broker: ten thousand hosts that lost it at one moment do not all return at the next. */
import { describe, expect, test } from 'vitest';
import { createRetry, FIRST_WINDOW_MS, NEXT_WINDOW_MS } from '../../agent/report/mqtt/retry.ts';
import { generator } from '../random.ts';

const HOSTS = 10_000;
const LASTED_MS = 86_400_000;

/** Attempts by the second, of hosts that all lost the broker at 0; it accepts connections from `backMs` on. */
function returning(backMs: number): { attempts: number[]; connected: number[] } {
  const attempts: number[] = [];
  const connected: number[] = [];
  const count = (list: number[], ms: number) => {
    const second = Math.floor(ms / 1_000);
    list[second] = (list[second] ?? 0) + 1;
  };
  for (let host = 1; host <= HOSTS; host++) {
    const retry = createRetry(generator(host));
    retry.lost(LASTED_MS);
    for (let at = retry.next(); ; at += retry.next()) {
      count(attempts, at);
      if (at < backMs) continue;
      count(connected, at);
      break;
    }
  }
  return { attempts, connected };
}
const most = (list: readonly number[]) => list.reduce((a, b) => Math.max(a, b), 0);
const sum = (list: readonly number[]) => list.reduce((a, b) => a + b, 0);

describe('ten thousand hosts that lost their broker', () => {
  test.each([
    ['restarted at once', 0],
    ['was away for ten seconds', 10_000],
    ['was away for five minutes', 300_000],
    ['was away for an hour', 3_600_000],
  ])(
    'send to a broker that %s no more than 600 attempts in a second, and are all connected in time',
    (_what, backMs) => {
      const { attempts, connected } = returning(backMs);
      expect(most(attempts)).toBeLessThanOrEqual(600);
      expect(sum(connected)).toBe(HOSTS);
      const window = backMs === 0 ? FIRST_WINDOW_MS : NEXT_WINDOW_MS;
      expect(connected.length).toBeLessThanOrEqual((backMs + window) / 1_000 + 1);
    },
  );
});

describe('one host', () => {
  const waits = (retry: ReturnType<typeof createRetry>, times: number) =>
    Array.from({ length: times }, () => retry.next());

  test('that was never connected retries soon, and then less and less often', () => {
    expect(
      waits(
        createRetry(() => 0),
        8,
      ),
    ).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    expect(
      waits(
        createRetry(() => 1),
        8,
      ),
    ).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
  });

  test('whose connections end right after they are made uses the longer window', () => {
    const retry = createRetry(() => 1);
    retry.lost(LASTED_MS);
    expect(retry.next()).toBe(500 + FIRST_WINDOW_MS);
    retry.lost(100);
    expect(retry.next()).toBe(500 + NEXT_WINDOW_MS);
    retry.lost(LASTED_MS);
    expect(retry.next()).toBe(500 + FIRST_WINDOW_MS);
  });
});
