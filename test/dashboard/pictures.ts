/**
 * `npm run pictures`: the pictures of the page in docs/images, each view in three sizes, of the six simulated hosts. Look at them
 * before you commit them.
 */
import path from 'node:path';
import type { Page } from 'playwright-core';
import { ensurePrograms } from '../lab/packages.ts';
import { run } from '../lab/run.ts';
import { eventOf, metricsAt, NEW, OLD, sixHosts } from './hosts.ts';
import { isLive, startTrial } from './trial.ts';

const OUT = path.join(import.meta.dirname, '../../docs/images');
const VIEWS = {
  fleet: '',
  groups: '?view=groups&by=site',
  commits: '?view=commits',
  live: '?view=live',
  host: '?host=oslo-1',
};
/** The one in the middle is dark. */
const SIZES = {
  wide: { width: 1280, height: 800, colorScheme: 'light' },
  tablet: { width: 768, height: 1024, colorScheme: 'dark' },
  phone: { width: 360, height: 740, colorScheme: 'light' },
} as const;

await ensurePrograms({ pngquant: 'pngquant' });
const began = Date.now();
let minute = 0;
let seq = 0;
const trial = await startTrial({ hosts: sixHosts(Date.now()) });
try {
  for (const [size, { width, height, colorScheme }] of Object.entries(SIZES)) {
    const context = await trial.browser.newContext({
      ...{ viewport: { width, height }, colorScheme, locale: 'en-GB', timezoneId: 'UTC', reducedMotion: 'reduce' },
    });
    const page = await context.newPage();
    for (const [view, query] of Object.entries(VIEWS)) {
      await page.goto(`${trial.url}${query}`);
      await isLive(page);
      if (view === 'live' || view === 'host') await happen(page);
      // Canvases are drawn a frame later.
      await page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))');
      const file = path.join(OUT, `${view}-${size}.png`);
      await page.screenshot({ path: file, fullPage: true });
      await run(['pngquant', '--force', '--output', file, file]);
    }
    await context.close();
  }
} finally {
  await trial.end();
}

/** What hosts report while the page is open. */
async function happen(page: Page): Promise<void> {
  const { crowd } = trial;
  for (const used of [0.3, 0.5, 0.4, 0.75, 0.55]) {
    minute += 1;
    await crowd.say('oslo-1', 'metrics', metricsAt(began + minute * 60_000, used));
  }
  seq += 10;
  const run = { trigger: 'push', sync: 'synced', commit: NEW, changed: 2, failed: 0, repaired: 0 };
  const drift = { resource: 'file:/etc/motd', op: 'update', result: 'done', why: [{ field: 'content' }] };
  await crowd.say('berlin-1', 'events', eventOf('berlin-1', seq, 'run', run));
  await crowd.say('oslo-2', 'events', eventOf('oslo-2', seq + 1, 'rollback', { from: NEW, to: OLD }));
  await crowd.say('oslo-1', 'events', eventOf('oslo-1', seq + 2, 'drift', drift));
  await crowd.say('oslo-1', 'events', eventOf('oslo-1', seq + 3, 'repair', drift));
  await page
    .getByRole('listitem')
    .filter({ hasText: /\brepair\b/ })
    .first()
    .waitFor();
}
