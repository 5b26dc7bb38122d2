/** The git server of the benchmark, a process of its own, so that its work counts for nobody. Speaks over the fork's channel. */
import { startBackend } from '../../unit/git/backend.ts';

const backend = await startBackend(process.argv[2] ?? '');
process.on('message', () => process.send?.(backend.traffic()));
process.on('disconnect', () => process.exit());
process.send?.({ url: backend.url('fleet.git') });
