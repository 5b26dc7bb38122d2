import type { FakeClock } from './clock.ts';

const LIMIT_MS = 600_000;
const STEP_MS = 100;

/** Waits in simulated time. @throws after ten minutes of it */
export const untilIn =
  (clock: FakeClock) =>
  async (what: string, condition: () => Promise<boolean>): Promise<void> => {
    const end = clock.monotonic() + LIMIT_MS;
    while (!(await condition())) {
      if (clock.monotonic() > end) throw new Error(`timed out waiting for ${what}`);
      await clock.sleep(STEP_MS);
    }
  };
