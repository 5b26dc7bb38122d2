/** `npm run dashboard`: writes examples/monitoring/dashboard.json. A test fails if it is out of date. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { dashboardText } from './monitoring/dashboard.ts';

writeFileSync(path.join(import.meta.dirname, '../examples/monitoring/dashboard.json'), dashboardText());
