/** For tests of functions that return failures by id: throws the first of them. */
import type { Failures } from '../agent/core/provider.ts';

export async function withoutFailure(answer: Promise<Failures>): Promise<void> {
  for (const failure of (await answer).values()) throw failure;
}
