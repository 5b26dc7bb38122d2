/** The page of the fleet in a real browser: it loads, shows six hosts, and its policy holds. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sixHosts } from './hosts.ts';
import { startTrial, type Trial } from './trial.ts';

let trial: Trial;
beforeAll(async () => {
  trial = await startTrial({ hosts: sixHosts(Date.now()) });
});
afterAll(() => trial.end());

test('the page shows the hosts that need attention, without errors of its console and its policy', async () => {
  const { page, complaints } = await trial.open();
  await expect.poll(() => page.getByRole('heading', { level: 1 }).textContent()).toBe('3 of 6 hosts need somebody');
  await expect
    .poll(() => page.getByRole('rowheader').allTextContents())
    .toEqual(['oslo-1', 'oslo-2', 'lyon-1', 'lyon-2', 'berlin-1', 'berlin-2']);
  expect(complaints).toEqual([]);
  // Foreign text could do nothing even if it became a script.
  await page.evaluate(
    "document.body.append(Object.assign(document.createElement('img'), { src: 'https://192.0.2.1/x' }))",
  );
  await expect.poll(() => complaints.join()).toContain('Content Security Policy');
});
