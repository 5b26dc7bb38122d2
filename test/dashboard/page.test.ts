/** The page of the fleet in a real browser, by role and name: each view, filters, hostile hosts, an outage, users of the broker. */
import axe from 'axe-core';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Certificates, certify } from './certificates.ts';
import { eventOf, metricsAt, type Said, sixHosts } from './hosts.ts';
import { isLive, startTrial, type Trial } from './trial.ts';

let trial: Trial;
const SIX = sixHosts(Date.now());
const statusOf = (host: string) => JSON.parse(SIX.get(host)?.status ?? '{}') as Record<string, unknown>;

beforeAll(async () => {
  trial = await startTrial({ hosts: SIX });
});
afterAll(() => trial.end());

const hostsIn = (page: Page) =>
  page.getByRole('table', { name: 'Hosts', exact: true }).getByRole('rowheader').allTextContents();
const close = (page: Page) => page.context().close();

describe('the fleet', () => {
  test('is filtered by a click on a state, which changes the address', async () => {
    const { page } = await trial.open();
    await page.getByRole('link', { name: '1 offline' }).click();
    expect(await hostsIn(page)).toEqual(['lyon-1']);
    expect(new URL(page.url()).search).toBe('?state=offline');
    await page.goBack();
    await expect.poll(() => hostsIn(page)).toHaveLength(6);
    await close(page);
  });

  test('is searched with the slash key, without a mouse', async () => {
    const { page } = await trial.open();
    await page.keyboard.press('/');
    await page.keyboard.type('site=oslo canary');
    await expect.poll(() => hostsIn(page)).toEqual(['oslo-1']);
    expect(new URL(page.url()).search).toContain('q=site%3Doslo+canary');
    await page.getByRole('link', { name: 'oslo-1', exact: true }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'oslo-1' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('heading', { level: 1, name: '3 of 6 hosts need somebody' }).waitFor();
    await close(page);
  });

  test('opens with the filters of the address', async () => {
    const { page } = await trial.open('?needs=1&label=site%3Doslo');
    expect(await hostsIn(page)).toEqual(['oslo-1', 'oslo-2']);
    await close(page);
  });

  test('follows the hosts', async () => {
    const { page } = await trial.open();
    await trial.crowd.say('berlin-2', 'presence', 'offline');
    await page.getByRole('heading', { level: 1, name: '4 of 6 hosts need somebody' }).waitFor();
    await page.getByRole('row', { name: /berlin-2.*offline since/ }).waitFor();
    await trial.crowd.say('berlin-2', 'presence', 'online');
    await page.getByRole('heading', { level: 1, name: '3 of 6 hosts need somebody' }).waitFor();
    await close(page);
  });

  test('leads from labels and commits to the hosts', async () => {
    const { page } = await trial.open('?view=groups&by=site');
    await page.getByRole('row', { name: /oslo 2 1 failed, 1 rolled-back/ }).waitFor();
    await page.getByRole('link', { name: 'Commits' }).click();
    await page.getByRole('link', { name: '0f9e8d7' }).click();
    expect(await hostsIn(page)).toEqual(['oslo-1', 'oslo-2', 'lyon-1', 'lyon-2']);
    await close(page);
  });
});

describe('a host', () => {
  test('shows what is wrong, whose turn it is, and what changed in the last day', async () => {
    const { page } = await trial.open('?host=oslo-1');
    const problems = page.getByRole('region', { name: 'Problems (1)' });
    await problems.getByText('cannot pull registry.example.com/shop:2.4').waitFor();
    await problems.getByText('another commit fixes it').waitFor();
    const day = page.getByRole('region', { name: 'What changed here in the last day' });
    await day.getByText('1 change, 1 repair, 1 failure in 2 runs of 2 commits.').waitFor();
    await page
      .getByRole('region', { name: 'Resources (6)' })
      .getByRole('row', { name: /service:shop\/web failed/ })
      .waitFor();
    await close(page);
  });

  test('shows events and metrics as they arrive', async () => {
    const { page } = await trial.open('?host=oslo-1');
    await page.getByText('Processor 20 %').waitFor();
    await trial.crowd.say('oslo-1', 'metrics', metricsAt(Date.now() + 60_000, 0.7));
    await page.getByRole('img', { name: 'Processor over time, now 70 %' }).waitFor();
    await trial.crowd.say('oslo-1', 'events', eventOf('oslo-1', 1, 'drift', { resource: 'file:/etc/motd' }));
    await page.getByRole('region', { name: 'Live' }).getByText('file:/etc/motd').waitFor();
    await close(page);
  });

  test('that does not exist is shown as unknown', async () => {
    const { page } = await trial.open('?host=nobody');
    await page.getByText('The broker has nothing of a host of this name.').waitFor();
    await close(page);
  });
});

describe('a command', () => {
  test('first shows its effect, is sent with its reason, and shows its result', async () => {
    const { page } = await trial.open('?host=oslo-1');
    const given = trial.crowd.hear('oslo-1', 'commands');
    await page.getByRole('button', { name: 'pause …' }).click();
    const form = page.getByRole('form', { name: 'pause oslo-1' });
    await form.getByText('Neither commits nor repairs change this host').waitFor();
    await form.getByLabel('For how long').fill('2h');
    await form.getByLabel('Reason').fill('a disk is changed');
    await form.getByRole('button', { name: 'pause oslo-1' }).click();
    const command = JSON.parse(await given) as { id: string };
    expect(command).toMatchObject({ command: 'pause', args: { for: '2h', reason: 'a disk is changed' } });
    const answer = {
      schema: 1,
      id: command.id,
      host: 'oslo-1',
      state: 'done',
      message: 'paused until noon',
      reason: '',
    };
    await trial.crowd.reply(command.id, JSON.stringify(answer));
    await page.getByText('pause: Done.').waitFor();
    await page.getByText('paused until noon').waitFor();
    await close(page);
  });

  test('is not offered for a host that accepts none', async () => {
    const { page } = await trial.open('?host=berlin-1');
    await page.getByRole('heading', { name: 'What it runs' }).waitFor();
    expect(await page.getByRole('region', { name: 'Commands' }).count()).toBe(0);
    await close(page);
  });
});

test('drift and rollbacks of all hosts appear as they happen', async () => {
  const { page } = await trial.open('?view=live');
  await trial.crowd.say('oslo-2', 'events', eventOf('oslo-2', 7, 'rollback', { from: 'a1b2c3d4', to: '0f9e8d7c' }));
  await page.getByRole('listitem').filter({ hasText: 'rollback oslo-2 a1b2c3d → 0f9e8d7' }).waitFor();
  await close(page);
});

test('texts of hosts stay text, in their own direction, and of limited length', async () => {
  const markup = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>';
  const status = { ...statusOf('berlin-2'), sync: 'failed', message: `${markup}\u202e gnp.exe`, problems: [] };
  const desired = { ...(status as { desired?: object }).desired, subject: 'x'.repeat(200_000) };
  try {
    const { page, complaints } = await trial.open();
    await trial.crowd.say('berlin-2', 'status', JSON.stringify({ ...status, desired }));
    await page
      .getByRole('row', { name: /berlin-2/ })
      .filter({ hasText: '<img src=x' })
      .waitFor();
    expect(await page.locator('img').count()).toBe(0);
    expect(await page.title()).not.toContain('owned');
    expect((await page.locator('body').textContent())?.length).toBeLessThan(20_000);
    expect(complaints).toEqual([]);
    await close(page);
  } finally {
    await trial.crowd.say('berlin-2', 'status', JSON.stringify(statusOf('berlin-2')));
  }
});

test('a host whose status has a megabyte delays neither the page nor its own row', async () => {
  const own = await startTrial({
    hosts: new Map([
      ...SIX,
      [
        'huge-1',
        { ...SIX.get('oslo-1'), status: JSON.stringify({ ...statusOf('oslo-1'), message: 'x'.repeat(1_000_000) }) },
      ],
    ]),
  });
  try {
    const { page } = await own.open();
    expect(await hostsIn(page)).toHaveLength(7);
    await close(page);
  } finally {
    await own.end();
  }
});

test('an outage keeps the last data, shows its age, and ends by itself', async () => {
  const own = await startTrial({ hosts: SIX });
  try {
    const { page } = await own.open();
    await page.evaluate("document.querySelector('tbody tr').dataset.kept = 'yes'");
    await own.broker.pause();
    await page.getByRole('alert').getByText('No connection to the broker since').waitFor();
    expect(await hostsIn(page)).toHaveLength(6);
    await own.broker.start();
    await own.crowd.repeat();
    await isLive(page);
    expect(await page.locator('tbody tr[data-kept=yes]').count()).toBe(1);
    await close(page);
  } finally {
    await own.end();
  }
});

describe('a broker with users', () => {
  /** As long as a token of an identity provider. */
  const token = Array.from({ length: 3 }, (_, part) => `${part}`.repeat(400)).join('.');
  const users = { ops: 'correct horse', token };
  let own: Trial;
  beforeAll(async () => {
    own = await startTrial({ hosts: SIX, users });
  });
  afterAll(() => own.end());
  const enter = async (page: Page, password: string, { user = 'ops', isKept = false } = {}) => {
    await page.getByLabel('User').fill(user);
    await page.getByLabel('Password or token').fill(password);
    if (isKept) await page.getByLabel('keep it until this tab is closed').check();
    await page.getByRole('button', { name: 'Connect' }).click();
  };
  const stored = (page: Page) =>
    page.evaluate('JSON.stringify({ ...sessionStorage, ...localStorage }) + document.cookie');

  test('asks for a login, and shows why a login is refused', async () => {
    const page = await own.browser.newPage();
    await page.goto(own.url);
    await enter(page, 'wrong');
    await page.getByRole('alert').getByText('The broker does not let this user in').waitFor();
    await enter(page, users.ops);
    await isLive(page);
    expect(await stored(page)).toBe('{}');
    await page.close();
  });

  test('accepts a token in place of the password', async () => {
    const page = await own.browser.newPage();
    await page.goto(own.url);
    await enter(page, token, { user: 'token' });
    await isLive(page);
    await page.close();
  });

  test('remembers the login only in the tab, and only if that was chosen', async () => {
    const page = await own.browser.newPage();
    await page.goto(own.url);
    await enter(page, users.ops, { isKept: true });
    await isLive(page);
    await page.reload();
    await isLive(page);
    expect(await stored(page)).toContain('correct horse');
    expect(await page.evaluate('localStorage.length + document.cookie.length')).toBe(0);
    await page.close();
  });
});

describe('a broker that requests a certificate', () => {
  let certificates: Certificates;
  let own: Trial;
  beforeAll(async () => {
    certificates = certify(['broker', 'operator', 'stranger']);
    own = await startTrial({ hosts: SIX, certificates });
  });
  afterAll(async () => {
    await own.end();
    certificates.remove();
  });
  /** A browser with somebody's certificate, or with none. */
  async function pageOf(name: string | null): Promise<Page> {
    const origin = own.broker.websocket.replace('wss:', 'https:');
    const { cert, key } = certificates.of(name ?? '');
    const context = await own.browser.newContext({
      // This browser does not know our CA; whether to trust it is up to the browser.
      ignoreHTTPSErrors: true,
      ...(name === null ? {} : { clientCertificates: [{ origin, certPath: cert, keyPath: key }] }),
    });
    const page = await context.newPage();
    await page.goto(own.url);
    return page;
  }

  test('identifies the user by it, and no login is typed', async () => {
    const page = await pageOf('operator');
    await isLive(page);
    expect(await hostsIn(page)).toHaveLength(6);
    await close(page);
  });

  test('shows nothing to a user without permissions, and names the place to check', async () => {
    const page = await pageOf('stranger');
    await isLive(page);
    await page.getByText('or this user may not read it').waitFor();
    expect(await page.getByRole('rowheader').count()).toBe(0);
    await close(page);
  });

  test('refuses a browser without one', async () => {
    const page = await pageOf(null);
    await page
      .getByRole('alert')
      .getByText(`open ${own.broker.websocket.replace('wss:', 'https:')} once`)
      .waitFor();
    await close(page);
  });
});

describe('accessibility', () => {
  const SIZES = { wide: { width: 1280, height: 800 }, phone: { width: 360, height: 740 } };
  const VIEWS = ['', '?view=groups', '?view=commits', '?view=live', '?host=oslo-1', '?state=failed'];
  const CASES = VIEWS.flatMap((view) =>
    (['light', 'dark'] as const).flatMap((scheme) =>
      Object.entries(SIZES).map(([size, pixels]) => ({ view: view || '?', scheme, size, pixels })),
    ),
  );

  test.each(CASES)('has no axe violation: $view, $scheme, $size', async ({ view, scheme, pixels }) => {
    const { page } = await trial.open(view, pixels);
    await page.emulateMedia({ colorScheme: scheme });
    // The page's own policy forbids injected scripts; the protocol of the debugger allows them.
    const session = await page.context().newCDPSession(page);
    await session.send('Page.setBypassCSP', { enabled: true });
    await page.reload();
    await isLive(page);
    await page.evaluate(axe.source);
    const found = (await page.evaluate(
      'axe.run().then(({ violations }) => violations.map(({ id, nodes }) => id + ": " + nodes.map((n) => n.html).join(" ").slice(0, 300)))',
    )) as string[];
    expect(found).toEqual([]);
    await close(page);
  });

  test.each(VIEWS)('at a width of 360 px nothing is wider than the screen: %s', async (view) => {
    const { page } = await trial.open(view, SIZES.phone);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360);
    await close(page);
  });
});

test('all hosts of a filter are printed, not only the visible ones', async () => {
  const own = await startTrial({ hosts: many(300) });
  try {
    const { page } = await own.open();
    expect((await hostsIn(page)).length).toBeLessThan(100);
    await page.evaluate("window.dispatchEvent(new Event('beforeprint'))");
    await expect.poll(async () => (await hostsIn(page)).length).toBe(300);
    await close(page);
  } finally {
    await own.end();
  }
});

const many = (n: number): ReadonlyMap<string, Said> => {
  const berlin = SIX.get('berlin-2') ?? {};
  return new Map(Array.from({ length: n }, (_, i) => [`edge-${String(i).padStart(5, '0')}`, berlin]));
};
