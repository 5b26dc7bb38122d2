/** The git server of the benchmark, in a process of its own, so that its work is not counted. Messages use the fork's channel. */
import { startBackend } from '../../unit/git/backend.ts';

const backend = await startBackend(process.argv[2] ?? '');
process.on('message', () => process.send?.(backend.traffic()));
process.on('disconnect', () => process.exit());
process.send?.({ url: backend.url('fleet.git') });
