/** Kernel settings, with a simulated kernel and a real file system below a temporary root. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Desired, ResourceId, Seen } from '../../agent/core/types.ts';
import { AgentError } from '../../agent/errors.ts';
import {
  formatSettings,
  isSame,
  laterFiles,
  nameOf,
  parseSettings,
  type SysctlFact,
  type SysctlSpec,
  settingOf,
} from '../../agent/kinds/sysctl/kind.ts';
import { createSysctlProvider, type SysctlProviderOptions } from '../../agent/kinds/sysctl/provider.ts';
import { createFiles } from '../../agent/system/files/files.ts';
import { createKernelSettings, type KernelSettings } from '../../agent/system/proc/kernel-settings.ts';
import { withoutFailure } from '../failures.ts';
import { find, loadRepo, messages } from './repo.ts';

const never = new AbortController().signal;
const manifest = (text: string) => ({ 'hosts/a/x.yaml': text });

describe('names', () => {
  test('both forms of sysctl.d(5) name one setting', () => {
    expect(nameOf('net/ipv4/ip_forward')).toBe('net.ipv4.ip_forward');
    expect(nameOf('net/ipv4/conf/eth0.100/forwarding')).toBe('net.ipv4.conf.eth0/100.forwarding');
    expect(nameOf('net.ipv4.conf.eth0/100.forwarding')).toBe('net.ipv4.conf.eth0/100.forwarding');
    expect(settingOf('net.ipv4.conf.eth0/100.forwarding')).toBe('net/ipv4/conf/eth0.100/forwarding');
  });

  test('with any parts, the path is found again', () => {
    const part = fc.stringMatching(/^[a-z0-9_.]{1,8}$/);
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z]{1,8}$/), fc.array(part, { minLength: 1, maxLength: 4 }), (first, rest) => {
        const setting = [first, ...rest].join('/');
        expect(settingOf(nameOf(setting))).toBe(setting);
        expect(nameOf(nameOf(setting))).toBe(nameOf(setting));
      }),
    );
  });
});

describe('values', () => {
  test.each([
    ['1', '1\n'],
    ['4096 87380 6291456', '4096\t87380\t6291456\n'],
    [' 1   2 ', '1 2'],
    ['0x10', '16'],
    ['010', '8'],
    ['-1', '-1'],
    ['4', '4\t4\t1\t7'],
    ['|/usr/lib/dump %p', '|/usr/lib/dump  %p\n'],
    ['', '\n'],
  ])('%j is what the kernel shows as %j', (declared, actual) => expect(isSame(declared, actual)).toBe(true));

  test.each([
    ['1', '0'],
    ['4096 87380', '4096'],
    ['core', 'core dump'],
    ['010', '10'],
    ['1 2', '1 3 7'],
    ['09', '9'],
    ['', '0'],
  ])('%j is not what the kernel shows as %j', (declared, actual) => expect(isSame(declared, actual)).toBe(false));
});

test('settings survive a round trip through the file', () => {
  const name = fc.stringMatching(/^[a-z]{1,6}(\.[a-z0-9_/]{1,8}){1,3}$/);
  const value = fc.stringMatching(/^[!-~][ -~]{0,20}$/).map((text) => text.trim());
  fc.assert(
    fc.property(fc.dictionary(name, value), (settings) => {
      const all = new Map(Object.entries(settings));
      expect(parseSettings(formatSettings(all))).toEqual(all);
    }),
  );
});

test('foreign files are read as sysctl.d(5) specifies', () => {
  const text =
    '# c\n; d\n-net.ipv4.ip_forward=0\n kernel/panic =  10 \nnet.ipv4.conf.*.rp_filter = 1\n-net.x.y\nvm.a=1\nvm.a=2\n';
  expect(Object.fromEntries(parseSettings(text))).toEqual({
    'net.ipv4.ip_forward': '0',
    'kernel.panic': '10',
    'vm.a': '2',
  });
  const files = [
    '/etc/sysctl.d/zzz.conf',
    '/etc/sysctl.d/zz-fairlead.conf',
    '/run/sysctl.d/zzz.conf',
    '/usr/lib/sysctl.d/zza.conf',
    '/usr/lib/sysctl.d/50-x.conf',
    '/etc/sysctl.d/zzz.bak',
  ];
  expect(laterFiles(files)).toEqual(['/usr/lib/sysctl.d/zza.conf', '/etc/sysctl.d/zzz.conf']);
});

describe('declarations', () => {
  test('an entry is a name and a value, in both forms of the name', async () => {
    const loaded = await loadRepo(manifest('sysctls:\n  net/ipv4/ip_forward: "1"\n  kernel.printk: " 4 4 "\n'));
    expect(messages(loaded)).toEqual([]);
    expect(find(loaded, 'sysctl:net.ipv4.ip_forward')).toMatchObject({
      spec: { name: 'net.ipv4.ip_forward', value: '1' },
      origin: { file: 'hosts/a/x.yaml', line: 2 },
    });
    expect(find(loaded, 'sysctl:kernel.printk')?.spec.value).toBe('4 4');
  });

  test('errors are reported with their place', async () => {
    const text =
      'sysctls:\n  net.core.somaxconn: 4096\n  net.ipv4.conf.*.rp_filter: "1"\n  swappiness: "1"\n  vm/../x: "1"\n  vm.x: "1\\n2"\n';
    expect(messages(await loadRepo(manifest(text)))).toEqual([
      'hosts/a/x.yaml:2:3: `net.core.somaxconn` must be a quoted value such as "1", got the number 4096',
      'hosts/a/x.yaml:6:3: `vm.x` must be one line',
      ...['3:3: `net.ipv4.conf.*.rp_filter`', '4:3: `swappiness`', '5:3: `vm/../x`'].map(
        (at) =>
          `hosts/a/x.yaml:${at} is not the name of one kernel setting; write it as \`sysctl -a\` does, such as net.ipv4.ip_forward, without patterns`,
      ),
    ]);
  });

  test('one setting in two forms is declared twice', async () => {
    const text = 'sysctls:\n  net.ipv4.ip_forward: "1"\n  net/ipv4/ip_forward: "0"\n';
    expect(messages(await loadRepo(manifest(text)))).toEqual([expect.stringContaining('declared twice in hosts/a')]);
  });

  test('a later layer replaces a value, and removes one', async () => {
    const loaded = await loadRepo({
      'hosts/a/host.yaml': 'roles: [r]\n',
      'roles/r/x.yaml': 'sysctls: {vm.swappiness: "1", vm.x: "1"}\n',
      'hosts/a/x.yaml': 'sysctls: {vm/swappiness: "60", vm.x: null}\n',
    });
    expect(messages(loaded)).toEqual([]);
    expect(find(loaded, 'sysctl:vm.swappiness')?.spec.value).toBe('60');
    expect(find(loaded, 'sysctl:vm.x')).toBeUndefined();
  });

  test('a setting comes before everything else', async () => {
    const text = 'sysctls: {vm.x: "1"}\nfiles: {/a: {content: x}}\nunits: {a.service: {state: started}}\n';
    const [first] = (await loadRepo(manifest(text))).ordered();
    expect(first?.id).toBe('sysctl:vm.x');
  });

  test('a purge of the directory keeps the file', async () => {
    const loaded = await loadRepo(manifest('sysctls: {vm.x: "1"}\nfiles: {/etc/sysctl.d/: {purge: true}}\n'));
    expect(find(loaded, 'file:/etc/sysctl.d')?.spec.keep).toEqual(['zz-fairlead.conf']);
  });
});

test('the unit of the agent lets it write settings and their file', () => {
  const unit = fs.readFileSync(path.join(import.meta.dirname, '../../systemd/fairlead.service'), 'utf8');
  expect(unit).not.toMatch(/^(ProtectKernelTunables|ProtectSystem|PrivateNetwork|ProtectProc)=/m);
  expect(unit).not.toMatch(/^ReadOnlyPaths=.*\/(etc|proc)/m);
});

describe('on a host', () => {
  let root: string;
  let kernel: Map<string, string>;
  const ours = new Set<ResourceId>();
  const FILE = '/etc/sysctl.d/zz-fairlead.conf';
  const read = (file: string) => (fs.existsSync(root + file) ? fs.readFileSync(root + file, 'utf8') : null);
  const put = (file: string, text: string) => {
    fs.mkdirSync(path.dirname(root + file), { recursive: true });
    fs.writeFileSync(root + file, text);
  };
  const lines = () =>
    read(FILE)
      ?.split('\n')
      .filter((line) => line !== '' && !line.startsWith('#')) ?? null;

  beforeEach(() => {
    root = fs.mkdtempSync(path.join(os.tmpdir(), 'fairlead-sysctl-'));
    kernel = new Map([
      ['vm/swappiness', '60\n'],
      ['kernel/printk', '4\t4\t1\t7\n'],
      ['net/x/max', '100\n'],
    ]);
    ours.clear();
  });
  afterEach(() => {
    fs.rmSync(root, { recursive: true });
    vi.useRealTimers();
  });

  /** A kernel that accepts integers up to 1,000 for `net/x/max`, and keeps 512 at most. */
  const madeUp: KernelSettings = {
    read: async (setting) => kernel.get(setting) ?? null,
    write: async (setting, value) =>
      void kernel.set(setting, `${setting === 'net/x/max' ? Math.min(512, Number(value)) : value}\n`),
  };
  const provider = (more: Partial<SysctlProviderOptions> = {}) =>
    createSysctlProvider({
      files: createFiles({ root }),
      kernel: madeUp,
      originals: '/state/sysctls',
      ownership: false,
      owned: (id) => ours.has(id),
      ...more,
    });
  const want = (name: string, value: string): Desired<SysctlSpec> => ({
    id: `sysctl:${name}`,
    spec: { name, value },
    hash: `${name}=${value}`,
    after: [],
    notify: [],
    origin: { file: 'x.yaml', line: 1, layer: 'hosts/a' },
  });
  const look = async (one: ReturnType<typeof provider>, { id }: { id: ResourceId }) =>
    (await one.observe([id], never)).get(id);
  /** As the agent's engine does: adopt new settings, record the ownership, apply. */
  const bring = async (one: ReturnType<typeof provider>, ...wants: Desired<SysctlSpec>[]) => {
    const work = [];
    for (const it of wants) {
      const seen = await look(one, it);
      work.push({ want: it, seen, change: one.diff(it, seen) });
    }
    await one.adopt?.(work.filter((w) => !ours.has(w.want.id)));
    for (const { id } of wants) ours.add(id);
    const failures = await one.apply(work, never);
    return { why: work.map((w) => (w.change.op === 'none' ? [] : w.change.why)), failures };
  };
  const remove = async (one: ReturnType<typeof provider>, it: Desired<SysctlSpec>) => {
    const notes: unknown[] = [];
    const seen = (await look(one, it)) as Seen<SysctlFact>;
    const mark = { hash: it.hash, intent: it.hash, memo: one.memo?.(it.spec) };
    await withoutFailure(one.remove([{ id: it.id, seen: { ...seen, mark } }], never, (_, note) => notes.push(note)));
    ours.delete(it.id);
    return notes;
  };

  test('a setting is set at once, kept for the next boot, and matches afterwards', async () => {
    const one = provider();
    const { why } = await bring(one, want('vm.swappiness', '10'), want('kernel.printk', '3'));
    expect(why[0]).toEqual([
      { field: 'value', from: '60', to: '10' },
      { field: 'at boot', to: '10' },
    ]);
    expect(kernel.get('vm/swappiness')).toBe('10\n');
    expect(lines()).toEqual(['kernel.printk = 3', 'vm.swappiness = 10']);
    expect(fs.statSync(root + FILE).mode & 0o777).toBe(0o644);
    expect(one.diff(want('vm.swappiness', '10'), await look(one, want('vm.swappiness', '10')))).toEqual({ op: 'none' });
  });

  test('a value that was already set is not written again, but kept for the next boot', async () => {
    const write = vi.fn(madeUp.write);
    const { why } = await bring(provider({ kernel: { ...madeUp, write } }), want('vm.swappiness', '60'));
    expect(why[0]).toEqual([{ field: 'at boot', to: '60' }]);
    expect(write).not.toHaveBeenCalled();
    expect(lines()).toEqual(['vm.swappiness = 60']);
  });

  test('a removed setting gets its value from before the takeover, and the file is removed with the last one', async () => {
    const one = provider();
    await bring(one, want('vm.swappiness', '10'));
    await bring(one, want('vm.swappiness', '20'));
    await bring(one, want('net.x.max', '200'));
    expect(await remove(one, want('vm.swappiness', '20'))).toEqual([]);
    expect(kernel.get('vm/swappiness')).toBe('60\n');
    expect(lines()).toEqual(['net.x.max = 200']);
    await remove(one, want('net.x.max', '200'));
    expect(kernel.get('net/x/max')).toBe('100\n');
    expect(read(FILE)).toBeNull();
    expect(read('/state/sysctls')).toBeNull();
  });

  test('a value that somebody else set meanwhile stays', async () => {
    const one = provider();
    await bring(one, want('vm.swappiness', '10'));
    kernel.set('vm/swappiness', '33\n');
    expect(await remove(one, want('vm.swappiness', '10'))).toEqual([
      { field: 'value', to: 'stays 33: somebody else set it' },
    ]);
    expect(kernel.get('vm/swappiness')).toBe('33\n');
  });

  test('after a reboot the declared value is not taken for an original', async () => {
    await bring(provider(), want('vm.swappiness', '10'));
    ours.clear();
    fs.rmSync(`${root}/state`, { recursive: true });
    const one = provider();
    await bring(one, want('vm.swappiness', '10'));
    expect(await remove(one, want('vm.swappiness', '10'))).toEqual([
      { field: 'value', to: 'stays 10: the former value is not known' },
    ]);
  });

  test('a removal that was interrupted after the value was restored is finished by the next', async () => {
    const one = provider();
    await bring(one, want('vm.swappiness', '10'));
    kernel.set('vm/swappiness', '60\n');
    expect(await remove(one, want('vm.swappiness', '10'))).toEqual([]);
    expect(read(FILE)).toBeNull();
    expect(read('/state/sysctls')).toBeNull();
  });

  test('a removal while the value cannot be read fails, and the next one restores the former value', async () => {
    await bring(provider(), want('vm.swappiness', '10'));
    const read = async () => {
      throw new AgentError({ code: 'Unsupported', phase: 'observe', message: 'cannot read it: EIO' });
    };
    const seen = { fact: { value: null, kept: '10' }, mark: { hash: 'h', intent: 'h', memo: { value: '10' } } };
    const failures = await provider({ kernel: { ...madeUp, read } }).remove(
      [{ id: 'sysctl:vm.swappiness', seen }],
      never,
    );
    expect(failures.get('sysctl:vm.swappiness')?.message).toBe('cannot read it: EIO');
    expect(lines()).toEqual(['vm.swappiness = 10']);
    expect(await remove(provider(), want('vm.swappiness', '10'))).toEqual([]);
    expect(kernel.get('vm/swappiness')).toBe('60\n');
  });

  test('drift of the value and of the file is detected and repaired; undeclared lines are removed', async () => {
    const one = provider();
    const it = want('vm.swappiness', '10');
    await bring(one, it);
    kernel.set('vm/swappiness', '1\n');
    put(FILE, 'vm.swappiness = 7\nvm.else = 1\n');
    const { why } = await bring(one, it);
    expect(why[0]).toEqual([
      { field: 'value', from: '1', to: '10' },
      { field: 'at boot', from: '7', to: '10' },
    ]);
    expect(lines()).toEqual(['vm.swappiness = 10']);
  });

  test('a file that is read later and overrides a setting is reported, in the plan and as long as it exists', async () => {
    put('/etc/sysctl.d/zzz-admin.conf', 'vm.swappiness = 99\n');
    const one = provider();
    const it = want('vm.swappiness', '10');
    const { why } = await bring(one, it);
    expect(why[0]?.at(-1)).toEqual({
      field: 'overridden',
      to: '/etc/sysctl.d/zzz-admin.conf sets 99 at each boot; remove it there',
    });
    expect(one.health(it, await look(one, it))).toEqual({ state: 'ok', message: '' });
    one.watcher?.manage([it]);
    await expect.poll(() => one.watcher?.limit()).not.toBeNull();
    expect(one.watcher?.limit()).toEqual({
      reason: 'Contended',
      message: `/etc/sysctl.d/zzz-admin.conf sets vm.swappiness = 99 at each boot, after ${FILE}; remove it there, or rename the file`,
    });
    put('/etc/sysctl.d/zzz-admin.conf', 'vm.swappiness = 10\n');
    one.watcher?.manage([it]);
    await expect.poll(() => one.watcher?.limit()).toBeNull();
  });

  test('a link to a later file is followed, one without a target is skipped', async () => {
    put('/opt/later', 'vm.swappiness = 99\n');
    fs.mkdirSync(`${root}/etc/sysctl.d`, { recursive: true });
    fs.symlinkSync('/opt/later', `${root}/etc/sysctl.d/zzz.conf`);
    fs.symlinkSync('/dev/null', `${root}/etc/sysctl.d/zzzz.conf`);
    expect((await look(provider(), want('vm.swappiness', '10')))?.fact.overridden).toEqual({
      file: '/etc/sysctl.d/zzz.conf',
      value: '99',
    });
  });

  test("a setting that this kernel lacks is the host's problem, and is set when it appears; a value that it refuses is the commit’s", async () => {
    const real = createKernelSettings(`${root}/proc/sys`);
    put('/proc/sys/vm/swappiness', '60\n');
    const one = provider({ kernel: real });
    const { failures } = await bring(one, want('net.bridge.x', '1'), want('vm.swappiness', '5'));
    expect([...failures].map(([id, { code, retry }]) => ({ id, code, retry }))).toEqual([
      { id: 'sysctl:net.bridge.x', code: 'Unsupported', retry: true },
    ]);
    expect(failures.get('sysctl:net.bridge.x')?.message).toContain('no such setting');
    expect(read('/proc/sys/vm/swappiness')).toBe('5\n');
    expect(lines()).toEqual(['net.bridge.x = 1', 'vm.swappiness = 5']);
  });

  test('a value that the kernel changes is reported, and not kept', async () => {
    const { failures } = await bring(provider(), want('net.x.max', '900'));
    expect(failures.get('sysctl:net.x.max')).toMatchObject({
      code: 'ApplyFailed',
      message: 'the kernel changed net.x.max = 900 to "512"; declare a value that it keeps',
    });
    expect(read(FILE)).toBeNull();
  });

  test('a value that the kernel changed is restored', async () => {
    await bring(provider(), want('net.x.max', '900'));
    expect(kernel.get('net/x/max')).toBe('100\n');
  });

  test('a setting that is changed by writing another one is set again', async () => {
    kernel.set('net/a', '0\n').set('net/forward', '0\n');
    const write = async (setting: string, value: string) => {
      kernel.set(setting, `${value}\n`);
      if (setting === 'net/forward') kernel.set('net/a', '0\n');
    };
    const { failures } = await bring(
      provider({ kernel: { ...madeUp, write } }),
      want('net.a', '1'),
      want('net.forward', '1'),
    );
    expect(failures.size).toBe(0);
    expect(kernel.get('net/a')).toBe('1\n');
  });

  test('an unreadable directory of sysctl.d does not hide the others', async () => {
    const files = createFiles({ root });
    const list = (directory: string) => {
      if (directory === '/usr/local/lib/sysctl.d') throw new Error('others can write there');
      return files.list(directory);
    };
    put('/usr/lib/sysctl.d/zzz.conf', 'vm.swappiness = 99\n');
    const seen = await look(provider({ files: { ...files, list } }), want('vm.swappiness', '10'));
    expect(seen?.fact).toMatchObject({ value: '60', overridden: { value: '99' } });
  });

  test('below another root only the file is written', async () => {
    const one = provider({ kernel: null });
    await bring(one, want('vm.swappiness', '10'));
    expect(kernel.get('vm/swappiness')).toBe('60\n');
    expect(lines()).toEqual(['vm.swappiness = 10']);
    expect(one.diff(want('vm.swappiness', '10'), await look(one, want('vm.swappiness', '10')))).toEqual({ op: 'none' });
    await remove(one, want('vm.swappiness', '10'));
    expect(read(FILE)).toBeNull();
  });

  test('damaged originals stop a takeover, and are reported', async () => {
    put('/state/sysctls', '{"vm.swap');
    const failures = await provider().adopt?.([
      { want: want('vm.swappiness', '10'), seen: undefined, change: { op: 'none' } },
    ]);
    expect(failures?.get('sysctl:vm.swappiness')).toMatchObject({ code: 'OriginalsUnreadable' });
  });

  test('a setting that was changed is hinted within a minute', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const one = provider();
    const it = want('vm.swappiness', '10');
    await bring(one, it);
    const hints: string[] = [];
    const stop = new AbortController();
    await one.watcher?.start((id) => hints.push(id), stop.signal);
    one.watcher?.manage([it]);
    await expect.poll(() => vi.getTimerCount()).toBe(1);
    kernel.set('vm/swappiness', '1\n');
    vi.advanceTimersByTime(60_000);
    await expect.poll(() => hints).toContain(it.id);
    stop.abort();
    expect(vi.getTimerCount()).toBe(0);
  });
});
