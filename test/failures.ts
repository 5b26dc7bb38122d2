/** For tests of what answers failures by id: the first of them is thrown. */
import type { Failures } from '../agent/core/provider.ts';

export async function withoutFailure(answer: Promise<Failures>): Promise<void> {
  for (const failure of (await answer).values()) throw failure;
}
