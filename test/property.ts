/** Property tests by fast-check: how often, and from which seed, if the environment says so (`npm run soak`). */
import fc from 'fast-check';

const seed = process.env.FAIRLEAD_SEED;
const runs = process.env.FAIRLEAD_RUNS;

fc.configureGlobal({
  ...(seed === undefined ? {} : { seed: Number(seed) }),
  ...(runs === undefined ? {} : { numRuns: Number(runs) }),
});
