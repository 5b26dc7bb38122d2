/** `pull_policy` and `pull_refresh_after` of a service. Pure. */

import type { ComposeService } from '../load/types.ts';
import type { PullPolicy } from './model.ts';
import type { StackContext } from './resources.ts';

const UNITS: Record<string, number> = { w: 604_800, d: 86_400, h: 3_600, m: 60, s: 1 };
const PERIODS: Record<string, string> = { daily: '1d', weekly: '1w' };

/** @see https://github.com/compose-spec/compose-spec/blob/main/05-services.md#pull_policy */
export function pullPolicy({ fail }: StackContext, name: string, service: ComposeService): PullPolicy {
  const { pull_policy: policy = 'missing', pull_refresh_after: after } = service;
  if (policy === 'always' || policy === 'never' || policy === 'missing') return { when: policy, everySeconds: 0 };
  const period = policy === 'refresh' ? after : (PERIODS[policy] ?? policy.replace(/^every_/, ''));
  const everySeconds = period === undefined ? null : secondsOf(period);
  if (everySeconds !== null && everySeconds > 0) return { when: 'refresh', everySeconds };
  if (period === undefined)
    fail(['services', name, 'pull_policy'], '`pull_policy: refresh` needs `pull_refresh_after`, such as 12h or 7d');
  else
    fail(
      ['services', name, policy === 'refresh' ? 'pull_refresh_after' : 'pull_policy'],
      `\`${period}\` must be a duration above zero in weeks, days, hours, minutes or seconds, such as 12h or 1w2d`,
    );
  return { when: 'missing', everySeconds: 0 };
}

/** `1w2d` → 777600 */
function secondsOf(text: string): number | null {
  if (!/^(\d+[wdhms])+$/.test(text)) return null;
  return [...text.matchAll(/(\d+)([wdhms])/g)].reduce(
    (sum, [, n, unit = '']) => sum + Number(n) * (UNITS[unit] ?? 0),
    0,
  );
}
