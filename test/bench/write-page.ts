/** `npm run bench-page`: writes docs/performance.md and its plots again, from the published results; after a change of the template. */
import { RESULT_FILES, readResults, writePage } from './report/files.ts';

writePage(readResults(RESULT_FILES.published));
