/** A wrong clock, on a machine that has a clock of its own: 1970 at the start, set by hand, and far off in both directions. */
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFailed, test } from 'vitest';
import type { StatusDocument } from '../../../manifests-schema/payloads.ts';
import { installAgent, statusWhere } from '../agent.ts';
import { apiOf, statusOf } from '../api.ts';
import { type FleetRepo, type Lab, startLab } from '../lab.ts';
import type { VirtualHost } from './host.ts';
import { whyNone } from './need.ts';

const none = await whyNone();

/** Open in the first days of each year. */
const WINDOW = '{schedule: "0 0 1 1 *", duration: 240h}';
const declares = (value: number) => ({
  'hosts/vm-1/host.yaml': `window: ${WINDOW}\n`,
  'hosts/vm-1/a.yaml': `files: {/srv/value: {content: "${value}"}}\n`,
});
const isWrong = (status: StatusDocument) => status.problems.some(({ reason }) => reason === 'ClockWrong');
const isHeld = ({ sync, gate }: StatusDocument) => sync === 'held' && gate?.kind === 'window';

/** Marks the date as right in the kernel, as a time server's client does: adjtimex(2), status and largest error. */
const CONFIRM = `my $timex = pack('L x4 q q q q l x4', 0x10 | 0x4, 0, 0, 0, 0, 0) . "\\0" x 200; syscall(159, $timex) >= 0 or die $!`;

/** Sets the clock that runs while the machine sleeps to the right date: rtc(4), RTC_SET_TIME. */
const SET_RTC = `my @now = (gmtime)[0 .. 5]; open(my $rtc, '+<', '/dev/rtc0') or die $!;
ioctl($rtc, 0x4024700a, pack('i9', @now, 0, 0, 0)) or die $!`;

describe.skipIf(none !== null)('a virtual machine', () => {
  let lab: Lab;
  let host: VirtualHost;
  let repo: FleetRepo;
  const setDate = (date: string) => host.exec(['date', '-u', '-s', date]);
  const setRight = () => setDate(`@${Math.floor(Date.now() / 1_000)}`);
  const value = async () => (await host.exec(['cat', '/srv/value'])).stdout;
  const status = (what: string, fits: (found: StatusDocument) => boolean) =>
    statusWhere(lab.infra, 'vm-1', what, fits, 150_000);

  beforeAll(async () => {
    lab = await startLab({ name: 'clock', hosts: [{ name: 'vm-1', flavour: 'vm', engine: false }] });
    host = lab.machine('vm-1');
    repo = await lab.infra.createRepo('fleet');
    await repo.commit({ 'hosts/vm-1/a.yaml': 'files: {/srv/value: {content: "1"}}\n' }, 'First');
    await installAgent(host, { repoUrl: repo.httpUrl, schedule: '*/10 * * * * *' });
    await status('synced', ({ sync }) => sync === 'synced');
  });
  afterAll(async () => lab?.stop());
  beforeEach(() => onTestFailed(async () => console.error(await host.journal('fairlead.service'))));

  test('without a battery starts at 1970: it reports that, opens no window, and repairs drift', async () => {
    await host.exec(['systemctl', 'stop', 'fairlead.service']);
    // The kernel accepts no date before its own start.
    await setDate('1970-01-02 00:00');
    await host.exec(['systemctl', 'start', 'fairlead.service']);
    const wrong = await status('a wrong clock', isWrong);
    expect(wrong.problems.find(({ reason }) => reason === 'ClockWrong')?.message).toMatch(
      /^this host's clock says 1970-01-02 00:\d\d UTC, which is before this program was made/,
    );
    await repo.commit(declares(2), 'Second');
    await apiOf(host).sync();
    const held = await status('held by the window', isHeld);
    expect(held.gate?.reason).toMatch(/this host's clock says 1970/);
    await host.exec(['rm', '/srv/value']);
    await apiOf(host).sync();
    expect(await value()).toBe('1');
  });

  test('continues by itself when the date is set: still outside of its window', async () => {
    await setRight();
    // The problem ends when the date is set, the gate with the next run.
    const found = await status('a right clock', (s) => !isWrong(s) && isHeld(s) && s.gate?.until != null);
    expect(found.gate?.until).toMatch(/^\d{4}-01-01T00:00:00/);
    expect(await value()).toBe('1');
  });

  test('opens no window because its date was set into it, forward by weeks and back by years', async () => {
    for (const [date, how] of [
      ['2027-01-03 12:00', /was set forward/],
      ['2026-01-03 12:00', /was set back/],
    ] as const) {
      await setDate(date);
      await status(`doubted at ${date}`, (s) => isWrong(s) && isHeld(s) && how.test(s.gate?.reason ?? ''));
    }
    expect(await value()).toBe('1');
    const history = await apiOf(host).get<{ runs: unknown[] }>('history');
    expect(history?.runs.length).toBeGreaterThan(3);
  });

  test('opens the window when a time server confirms the date', async () => {
    await setDate('2027-01-03 12:00');
    await host.exec(['perl', '-e', CONFIRM]);
    await status('synced', (s) => s.sync === 'synced' && !isWrong(s));
    expect(await value()).toBe('2');
  });

  test('that slept continues as before when it wakes: its date is right, and the window is as closed as before', async () => {
    await setDate('2026-12-20 12:00');
    await host.exec(['perl', '-e', SET_RTC]);
    await host.exec(['perl', '-e', CONFIRM]);
    await repo.commit(declares(3), 'Third');
    await apiOf(host).sync();
    await status('held', (s) => isHeld(s) && !isWrong(s) && s.desired?.subject === 'Third');
    const before = await statusOf(host);
    await host.suspend();
    await host.wake();
    await apiOf(host).sync();
    const after = await statusOf(host);
    expect([isHeld(after), isWrong(after), after.agent.instance]).toEqual([true, false, before.agent.instance]);
    expect(after.run?.id).toBeGreaterThan(before.run?.id ?? 0);
    expect(await value()).toBe('2');
  });

  test('that slept for a year without a battery trusts no date until a time server confirms it, and keeps its history', async () => {
    const oldest = async () => (await apiOf(host).get<{ runs: { id: number }[] }>('history'))?.runs.at(-1)?.id;
    const before = await oldest();
    await host.suspend();
    await host.wake();
    // As somebody, or a program, sets it in good faith.
    await setDate('2028-01-03 20:00');
    const doubted = await status(
      'doubted',
      (s) => isWrong(s) && isHeld(s) && /was set forward/.test(s.gate?.reason ?? ''),
    );
    expect(doubted.desired?.subject).toBe('Third');
    expect(await value()).toBe('2');
    await host.exec(['perl', '-e', CONFIRM]);
    const found = await status('synced', (s) => s.sync === 'synced' && !isWrong(s));
    expect(found.applied?.commit).toBe(found.desired?.commit);
    expect(await value()).toBe('3');
    expect(before).toBeTypeOf('number');
    expect(await oldest()).toBe(before);
  });
});
