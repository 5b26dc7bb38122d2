/**
 * The disk of the agent's state is full, returns errors, or becomes read-only: the agent reports it, blames no commit, overwrites
 * nothing that it cannot read, and continues. It needs a kernel whose disks may be broken: `npm run soak -- cuts` runs it, and
 * `npm test` has a full disk in engine/daemon-faults.test.ts and engine/disk.test.ts.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFailed, test } from 'vitest';
import type { HistoryDocument } from '../../../agent/control/protocol.ts';
import type { StatusDocument } from '../../../manifests-schema/payloads.ts';
import { apiOf, type DaemonApi } from '../api.ts';
import { type Cuts, createCuts } from '../cuts.ts';
import { type Lab, startLab, until } from '../lab.ts';
import { type BadDisk, createBadDisk } from './bad-disk.ts';
import type { VirtualHost } from './host.ts';
import { whyNone } from './need.ts';

const MINUTE = 60_000;
const PATIENCE_MS = 10 * MINUTE;
const STATE = '/var/lib/fairlead';
/** Written once, or with each accepted commit: no refused run may change them. */
const LASTING = 'age.key hash.key trust.json inventory.json';
const none = await whyNone();

describe.skipIf(none !== null)('a state on a disk of its own', () => {
  let lab: Lab;
  let host: VirtualHost;
  let cuts: Cuts;
  let api: DaemonApi;
  let disk: BadDisk;

  const service = (...verb: string[]) =>
    host.exec(['systemctl', ...verb, 'fairlead.service'], { timeoutMs: PATIENCE_MS });
  const isUnwritable = (status: StatusDocument) =>
    status.reason === 'StateUnwritable' || status.problems.some(({ reason }) => reason === 'StateUnwritable');
  /** Requests a new commit, which must wait and must not be blamed. */
  const refusesNext = async () => {
    await cuts.next();
    await api.sync();
    const status = await api.statusWhere('that the state cannot be written', isUnwritable);
    expect(status.reason).toBe('StateUnwritable');
    expect(status.bad).toEqual([]);
    expect((await host.exec(['head', '-n', '1', '/srv/app/text'])).stdout).toBe(`generation ${cuts.generation - 1}\n`);
  };
  /** No run is requested. */
  const convergesByItself = async () => {
    await api.statusWhere('in place by itself', (s) => s.sync === 'synced' && s.applied?.commit === cuts.commit);
    await cuts.converged();
  };
  /** Starts the agent on a disk on which it cannot run, and waits until it has reported that. */
  const saysAtStart = async (what: RegExp) => {
    const since = (await host.exec(['date', '+@%s'])).stdout.trim();
    await service('--no-block', 'start');
    await until(`the journal to say ${what}`, PATIENCE_MS, async () => {
      const argv = ['journalctl', '--no-pager', '-o', 'cat', '-u', 'fairlead.service', '--since', since];
      return what.test((await host.exec(argv)).stdout);
    });
  };
  const lasting = async () => (await host.sh(`cd ${STATE}; sha256sum ${LASTING}`)).stdout;
  const setAside = async () => (await host.sh(`ls -A ${STATE}`)).stdout.match(/^.*corrupt.*$/gm) ?? [];
  /** The oldest run identifies the history: a new history would begin later. */
  const began = async () => (await api.get<HistoryDocument>('history?limit=1000'))?.runs.at(-1)?.startedAt;

  beforeAll(async () => {
    lab = await startLab({
      name: 'state-disk',
      hosts: [{ name: 'vm-1', flavour: 'vm', firewall: false, engine: false }],
    });
    host = lab.machine('vm-1');
    api = apiOf(host);
    cuts = createCuts({ host, infra: lab.infra, repo: await lab.infra.createRepo('fleet'), isLight: true });
    await cuts.begin();
    await service('stop');
    disk = createBadDisk({ host, name: 'bad-state', place: STATE });
    await disk.make();
    await service('start');
    await cuts.next();
    await cuts.converged();
  }, 30 * MINUTE);
  afterAll(async () => lab?.stop());
  beforeEach(() => onTestFailed(async () => console.error(await host.journal('fairlead.service'))));

  test(
    'that is full is reported, and work continues by itself when there is space',
    async () => {
      await host.sh(`cd ${STATE}; dd if=/dev/zero of=filler bs=1M status=none 2> /dev/null || true
dd if=/dev/zero of=rest bs=1k status=none 2> /dev/null || true`);
      await refusesNext();
      await host.sh(`rm ${STATE}/filler ${STATE}/rest`);
      await convergesByItself();
    },
    20 * MINUTE,
  );

  test(
    'that becomes read-only during work is reported, repairs continue, and everything is recorded by itself when it is writable again',
    async () => {
      const before = await lasting();
      // All disks, whether files are open for writing or not (sysrq.rst); mount(8) would refuse that.
      await host.sh(
        `echo u > /proc/sysrq-trigger; until findmnt -no FS-OPTIONS ${STATE} | grep -q '^ro'; do sleep 0.2; done`,
      );
      await host.exec(['systemctl', 'stop', 'cut.service']);
      await until('the repair', PATIENCE_MS, async () => {
        return (await host.exec(['systemctl', 'is-active', 'cut.service'], { check: false })).code === 0;
      });
      await refusesNext();
      expect(await lasting()).toBe(before);
      await host.sh(`for at in / /data ${STATE}; do mount -o remount,rw $at; done`);
      await convergesByItself();
      const { runs } = (await api.get<HistoryDocument>('history')) ?? { runs: [] };
      expect(runs.filter(({ repaired }) => repaired > 0)).toHaveLength(1);
    },
    20 * MINUTE,
  );

  test(
    'that is read-only when the agent starts prevents the start, with the reason, and the agent runs as soon as it is writable',
    async () => {
      await service('stop');
      const before = await lasting();
      await host.sh(`mount -o remount,ro ${STATE}`);
      await cuts.next();
      await saysAtStart(/cannot use the state in \/var\/lib\/fairlead/);
      await host.sh(`mount -o remount,rw ${STATE}`);
      expect(await lasting()).toBe(before);
      await convergesByItself();
    },
    20 * MINUTE,
  );

  test(
    'that returns errors during work is reported, nothing is overwritten, and work continues when the disk is repaired',
    async () => {
      const [before, history] = [await lasting(), await began()];
      await disk.break();
      await refusesNext();
      await service('stop');
      await disk.mend();
      expect(await lasting()).toBe(before);
      await cuts.whole();
      await service('start');
      await convergesByItself();
      expect(await setAside()).toEqual([]);
      expect(await began()).toBe(history);
    },
    20 * MINUTE,
  );

  test(
    'that is unreadable when the agent starts prevents the start, with the reason, and nothing is taken for lost',
    async () => {
      const history = await began();
      await service('stop');
      const before = await lasting();
      await cuts.next();
      await disk.breakReads();
      await saysAtStart(/cannot (use|read)|Input\/output error/);
      await service('stop');
      await disk.mend();
      expect(await lasting()).toBe(before);
      expect(await setAside()).toEqual([]);
      await service('start');
      await convergesByItself();
      expect(await began()).toBe(history);
    },
    20 * MINUTE,
  );
});
