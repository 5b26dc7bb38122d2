/** Whether a virtual machine is possible here: a suite without one is skipped with the reason; CI fails instead. */
import { ensureMachine } from './image.ts';

/**
 * Creates the machine if it does not exist yet, which takes minutes.
 * @returns why there is none, or null
 * @throws with `FAIRLEAD_VM=required`, as in CI, instead of returning a reason
 */
export async function whyNone(): Promise<string | null> {
  if (process.env.FAIRLEAD_VM === 'off') return 'FAIRLEAD_VM=off';
  try {
    await ensureMachine((line) => console.log(line));
    return null;
  } catch (thrown) {
    if (process.env.FAIRLEAD_VM === 'required') throw thrown;
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    console.warn(`skipping what needs a virtual machine: ${reason}`);
    return reason;
  }
}
