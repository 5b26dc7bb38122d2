/** Property tests with fast-check: the number of runs, and the seed if the environment sets one (`npm run soak`). */
import fc from 'fast-check';

const seed = process.env.FAIRLEAD_SEED;
const runs = process.env.FAIRLEAD_RUNS;

fc.configureGlobal({
  ...(seed === undefined ? {} : { seed: Number(seed) }),
  ...(runs === undefined ? {} : { numRuns: Number(runs) }),
});
