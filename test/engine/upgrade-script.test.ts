/**
 * The script that carries out an upgrade that a commit requests: the real script, with directories as disks and a simulated
 * systemd.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { upgradeScript } from '../../packaging/scripts/script.ts';
import { momentsOf, sampleOf, THOROUGH } from '../sweep.ts';

const dirs: string[] = [];
afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
});

/** Programs of the script whose calls are moments at which it may be killed. */
const MOMENTS = ['mv', 'cp', 'ln', 'rm', 'mkdir', 'sync', 'systemctl', 'sleep', 'tar', 'sha256sum', 'dirname'];

/** More calls than any upgrade makes. */
const ENDLESS = 100_000;

/** File systems that a host may have on separate disks. */
type Disk = 'state' | 'root';

const contentsBelow = (dir: string) =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .map((file) => ({ file, content: readFileSync(file, 'latin1') }));

interface WorldOptions {
  /** The responses of the new agent; if absent, it is well. */
  status?: object | null;
  /** Version of the database format that the new program reads. */
  schema?: number;
  /** The installer fails. */
  broken?: boolean;
  version?: string;
  reached?: string;
  format?: 'tarball' | 'deb' | 'rpm';
  /** The new agent has another process id each time that it is observed. */
  crashes?: boolean;
  /** Private memory of the new agent, in KiB. */
  memory?: number;
  /** How often dpkg is busy before it installs. */
  busy?: number;
}

const statusOf = (version: string, more: object = {}) => ({
  agent: { version },
  run: { id: 1 },
  problems: [],
  ...more,
});

/** A host with version 0.1.0, and an order for another version. */
function world(options: WorldOptions = {}) {
  const {
    schema = 6,
    broken = false,
    version = '0.2.0',
    reached = 'repository broker',
    format = 'tarball',
    busy = 0,
    crashes = false,
    memory = 40_000,
  } = options;
  const status = options.status === undefined ? statusOf('0.2.0') : options.status;
  const dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-upgrade-'));
  dirs.push(dir);
  const put = (file: string, content: string, mode = 0o644) => {
    const full = path.join(dir, file);
    mkdirSync(path.dirname(full), { recursive: true });
    writeFileSync(full, content);
    chmodSync(full, mode);
  };
  const program = (at: string, of: string, form: number, says: object | null) => {
    put(`${at}/VERSION`, `${of}\n`);
    put(`${at}/SCHEMA`, `${form}\n`);
    put(`${at}/fairlead.cjs`, `program of ${of}`);
    put(`${at}/lib/part-${of}.mjs`, of);
    put(`${at}/says.json`, says === null ? 'nothing' : JSON.stringify(says));
    put(
      `${at}/node`,
      `#!/bin/sh\n[ "$1" != -e ] || exec ${process.execPath} "$@"\n[ -e ${dir}/active ] && cat "\${0%/*}/says.json"\n`,
      0o755,
    );
  };
  program('lib', '0.1.0', 6, statusOf('0.1.0'));
  put('etc/systemd/system/fairlead.service', 'unit of 0.1.0');
  put('active', '');
  put('pid', '1000');
  put('uptime', '100.00 1.00\n');
  put('state/schema', '6\n');
  put('state/history.db', 'form 6');
  put('status', `RssAnon:\t   ${memory} kB\n`);

  program('pack/fairlead/files/usr/lib/fairlead', '0.2.0', schema, status);
  put(
    'pack/fairlead/install.sh',
    broken
      ? 'echo "no room for it" >&2; exit 1\n'
      : `set -e
systemctl stop fairlead.service
rm -rf ${dir}/lib
cp -a ${dir}/pack/fairlead/files/usr/lib/fairlead ${dir}/lib
echo "unit of 0.2.0" > ${dir}/etc/systemd/system/fairlead.service
if [ ${schema} -gt 6 ]; then
  [ -f ${dir}/state/history.db.6 ] || cp ${dir}/state/history.db ${dir}/state/history.db.6
  echo "form ${schema}" > ${dir}/state/history.db
  echo ${schema} > ${dir}/state/schema
fi
systemctl start fairlead.service
`,
  );
  const file = path.join(dir, 'state/upgrade/package/fairlead.tar');
  mkdirSync(path.dirname(file), { recursive: true });
  execFileSync('tar', ['-cf', file, '-C', path.join(dir, 'pack'), 'fairlead']);
  const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex');
  put(
    'state/upgrade/order',
    `version=${version}\nformat=${format}\nfile=fairlead.tar\nsha256=${sha256}\nfrom=0.1.0\nseconds=60\nreached=${reached}\n`,
  );

  // A systemd that only knows whether the agent runs, and a clock that advances ten times as fast while somebody sleeps.
  put(
    'bin/systemctl.real',
    `#!/bin/sh
case "$1" in
  start) [ -e ${dir}/active ] || { touch ${dir}/active; echo $(($(cat ${dir}/pid) + 1)) > ${dir}/pid; } ;;
  stop) rm -f ${dir}/active ;;
  is-active) [ -e ${dir}/active ] ;;
  show) case "$3" in
    MainPID)
      ! ${crashes} || echo $(($(cat ${dir}/pid) + 1)) > ${dir}/pid
      [ -e ${dir}/active ] && cat ${dir}/pid || echo 0 ;;
    FragmentPath) echo ${dir}/etc/systemd/system/fairlead.service ;;
    MemoryHigh) echo 268435456 ;;
  esac ;;
esac
`,
    0o755,
  );
  put(
    'bin/sleep.real',
    `#!/bin/sh\nread up _ < ${dir}/uptime; echo "$((\${up%.*} + $1 * 10)).00 1.00" > ${dir}/uptime\n`,
    0o755,
  );
  // Package managers that know one package.
  put('busy', `${busy}`);
  put(
    'bin/dpkg',
    `#!/bin/sh
left=$(cat ${dir}/busy)
[ "$left" = 0 ] || { echo $((left - 1)) > ${dir}/busy; echo "dpkg: error: locked" >&2; exit 2; }
exec sh ${dir}/pack/fairlead/install.sh
`,
    0o755,
  );
  put('bin/dpkg-deb', `#!/bin/sh\nexec /usr/bin/tar -cf - -C ${dir}/pack/fairlead/files ./usr\n`, 0o755);
  put(
    'bin/rpm',
    `#!/bin/sh\n[ "$1" != -qp ] || { echo 0.2.0; exit; }\nexec sh ${dir}/pack/fairlead/install.sh\n`,
    0o755,
  );
  // The content of the disk at that time, for power cuts; the state may be on another disk than the program.
  put(
    'bin/sync.real',
    `#!/bin/sh
PATH=/usr/bin:/bin
rm -rf ${dir}/synced
mkdir -p ${dir}/synced/state ${dir}/synced/root
cp -a ${dir}/state/. ${dir}/synced/state/
for at in ${dir}/lib ${dir}/lib.* ${dir}/etc; do [ ! -e "$at" ] || cp -a "$at" ${dir}/synced/root/; done
`,
    0o755,
  );
  for (const name of MOMENTS) {
    const real = existsSync(path.join(dir, `bin/${name}.real`)) ? `${dir}/bin/${name}.real` : `/usr/bin/${name}`;
    put(
      `bin/${name}`,
      `#!/bin/sh
if [ -e ${dir}/left ]; then
  read n < ${dir}/left
  echo $((n - 1)) > ${dir}/left
  if [ "$n" -le 1 ]; then /bin/rm ${dir}/left; kill -9 -"$(cat ${dir}/group)"; fi
fi
exec ${real} "$@"
`,
      0o755,
    );
  }
  put(
    'upgrade.sh',
    upgradeScript()
      .replaceAll('/var/lib/fairlead', `${dir}/state`)
      .replaceAll('/usr/lib/fairlead', `${dir}/lib`)
      // Files inside of a package keep their names.
      .replaceAll(`*/files${dir}/lib/`, '*/files/usr/lib/fairlead/')
      .replaceAll(`".${dir}/lib/$1"`, '"./usr/lib/fairlead/$1"')
      .replaceAll('/etc/systemd', `${dir}/etc/systemd`)
      .replaceAll('/proc/$1/status', `${dir}/status`)
      .replaceAll('/proc/uptime', `${dir}/uptime`),
  );

  execFileSync(path.join(dir, 'bin/sync.real'));
  /**
   * The result of a power cut: disks in `lost` have the content of the last sync(1), the others have names without their new
   * content.
   */
  const cutPower = (lost: readonly Disk[]) => {
    const root = readdirSync(dir).filter((name) => /^(lib|etc)/.test(name));
    for (const [disk, names] of [
      ['state', ['state']],
      ['root', root],
    ] as const) {
      const synced = path.join(dir, 'synced', disk);
      if (lost.includes(disk)) {
        for (const name of names) rmSync(path.join(dir, name), { recursive: true });
        cpSync(synced, disk === 'state' ? path.join(dir, 'state') : dir, { recursive: true, preserveTimestamps: true });
        continue;
      }
      const written = new Set(contentsBelow(synced).map(({ content }) => content));
      for (const { file, content } of names.flatMap((name) => contentsBelow(path.join(dir, name))))
        if (!written.has(content)) writeFileSync(file, '');
    }
  };
  /** @param left number of calls of MOMENTS until it is killed; null if it is not. */
  const run = (left: number | null = null) => {
    if (left !== null) put('left', `${left}\n`);
    const done = spawnSync('setsid', ['--wait', 'sh', '-c', `echo $$ > ${dir}/group; exec sh ${dir}/upgrade.sh`], {
      encoding: 'utf8',
      env: { PATH: `${dir}/bin:/usr/sbin:/usr/bin:/sbin:/bin` },
    });
    const wasKilled = left !== null && !existsSync(path.join(dir, 'left'));
    const calls = wasKilled || left === null ? 0 : left - Number(readFileSync(path.join(dir, 'left'), 'utf8'));
    rmSync(path.join(dir, 'left'), { force: true });
    return { ...done, wasKilled, calls };
  };
  const text = (name: string) => readFileSync(path.join(dir, name), 'utf8');
  return { dir, put, run, cutPower, text, has: (name: string) => existsSync(path.join(dir, name)), sha256 };
}
type World = ReturnType<typeof world>;

const result = (host: World) =>
  Object.fromEntries(
    host
      .text('state/upgrade/result')
      .trim()
      .split('\n')
      .map((line) => line.split(/=(.*)/s).slice(0, 2) as [string, string]),
  );
/** One complete agent runs, and nothing is left of the order. */
function expectOne(host: World, version: string): void {
  expect(host.text('lib/VERSION').trim()).toBe(version);
  expect(readdirSync(path.join(host.dir, 'lib/lib'))).toEqual([`part-${version}.mjs`]);
  expect(host.text('etc/systemd/system/fairlead.service').trim()).toBe(`unit of ${version}`);
  expect(host.has('active')).toBe(true);
  expect(host.has('lib.before')).toBe(false);
  expect(host.has('state/upgrade/order')).toBe(false);
  expect(host.has('state/upgrade/package')).toBe(false);
  expect(host.has('lib/fairlead.service.before')).toBe(false);
}

test('a version that is well replaces the former one', () => {
  const host = world();
  expect(host.run()).toMatchObject({ status: 0 });
  expect(result(host)).toMatchObject({ version: '0.2.0', from: '0.1.0', verdict: 'upgraded', cause: '' });
  expectOne(host, '0.2.0');
});

test.each(['deb', 'rpm'] as const)('a version that comes as .%s replaces the former one', (format) => {
  const host = world({ format });
  host.run();
  expect(result(host)).toMatchObject({ verdict: 'upgraded' });
  expectOne(host, '0.2.0');
});

test('the script waits for a busy dpkg', () => {
  const host = world({ format: 'deb', busy: 3 });
  host.run();
  expect(result(host)).toMatchObject({ verdict: 'upgraded' });
});

test('a dpkg that stays busy has changed nothing', () => {
  const host = world({ format: 'deb', busy: 100 });
  host.run();
  expect(result(host)).toMatchObject({ verdict: 'failed', cause: 'install' });
  expect(host.text('pid').trim()).toBe('1000');
  expectOne(host, '0.1.0');
});

test.each<[string, string, WorldOptions]>([
  ['one that does not answer', 'silent', { status: null }],
  ['one that finishes no run', 'idle', { status: statusOf('0.2.0', { run: null }) }],
  ['one that loses the repository', 'unreachable', { status: statusOf('0.2.0', { problems: [{ id: 'repository' }] }) }],
  ['one that crashes again and again', 'crashed', { crashes: true }],
  ['one that takes too much memory', 'memory', { memory: 300_000 }],
  ['one whose installer fails', 'install', { broken: true }],
  ['one that reports another version', 'other', { status: statusOf('0.3.0') }],
])('%s is rolled back, and remembered', (_, cause, options) => {
  const host = world(options);
  host.run();
  expect(result(host)).toMatchObject({ verdict: 'failed', cause });
  expect(host.has(`state/upgrade/bad/${host.sha256}`)).toBe(true);
  expectOne(host, '0.1.0');
});

test('a server that was unreachable before does not count against a version', () => {
  const host = world({ reached: 'repository', status: statusOf('0.2.0', { problems: [{ id: 'broker' }] }) });
  host.run();
  expectOne(host, '0.2.0');
});

test.each<[string, string, WorldOptions]>([
  ['contains another version than announced', 'other', { version: '0.2.1' }],
  ['cannot read the state', 'state', { schema: 5 }],
])('a package that %s is refused before anything is changed', (_, cause, options) => {
  const host = world(options);
  host.run();
  expect(result(host)).toMatchObject({ verdict: 'failed', cause });
  expect(host.text('pid').trim()).toBe('1000');
  expectOne(host, '0.1.0');
});

test('a damaged package is refused before anything is changed', () => {
  const host = world();
  host.put('state/upgrade/package/fairlead.tar', 'damaged');
  host.run();
  expect(result(host)).toMatchObject({ verdict: 'failed', cause: 'damaged' });
  expect(host.text('pid').trim()).toBe('1000');
  expectOne(host, '0.1.0');
});

test('a version that migrated the state is rolled back together with the state', () => {
  const host = world({ schema: 7, status: null });
  host.run();
  expectOne(host, '0.1.0');
  expect(host.text('state/history.db').trim()).toBe('form 6');
  expect(host.text('state/schema').trim()).toBe('6');
  // For the former agent, which takes over the unreported events.
  expect(host.text('state/history.db.left').trim()).toBe('form 7');
});

test.each<[string, WorldOptions, string]>([
  ['a good version', { schema: 7 }, '0.2.0'],
  ['a bad version', { schema: 7, status: null }, '0.1.0'],
])(
  'killed at any moment of an upgrade to %s, the host ends with one running agent',
  (_, options, version) => {
    const whole = world(options);
    const { status, calls } = whole.run(ENDLESS);
    expect(status).toBe(0);
    expectOne(whole, version);
    expect(calls).toBeGreaterThan(20);
    for (const at of momentsOf(calls)) {
      const host = world(options);
      const { wasKilled } = host.run(at);
      for (let i = 0; i < 3 && (host.has('state/upgrade/order') || host.has('state/upgrade/phase')); i++) host.run();
      expect({ at, wasKilled, version: host.text('lib/VERSION').trim() }).toEqual({ at, wasKilled: true, version });
      expectOne(host, version);
      const form = version === '0.2.0' ? 7 : 6;
      expect(host.text('state/history.db').trim()).toBe(`form ${form}`);
      expect(host.text('state/schema').trim()).toBe(String(form));
      if (version === '0.1.0') expect(host.text('state/history.db.left').trim()).toBe('form 7');
    }
  },
  THOROUGH ? 900_000 : 60_000,
);

test.each<[string, WorldOptions, string]>([
  ['a good version', { schema: 7 }, '0.2.0'],
  ['a bad version', { schema: 7, status: null }, '0.1.0'],
])(
  'a power cut at any moment of an upgrade to %s leaves one running agent',
  (_, options, version) => {
    const whole = world(options);
    const { calls } = whole.run(ENDLESS);
    const cuts: readonly (readonly Disk[])[] = [[], ['state'], ['root'], ['state', 'root']];
    // The first and the last moment are no interruption.
    const sample = [7, 8].flatMap((salt) => momentsOf(calls, salt).slice(1, 2));
    for (const at of THOROUGH ? momentsOf(calls) : sample) {
      for (const lost of THOROUGH ? cuts : sampleOf(cuts, cuts.length, at)) {
        const host = world(options);
        host.run(at);
        host.cutPower(lost);
        // The next boot starts both.
        host.put('active', '');
        for (let i = 0; i < 3 && (host.has('state/upgrade/order') || host.has('state/upgrade/phase')); i++) host.run();
        const form = version === '0.2.0' ? '7' : '6';
        expect({
          ...{
            at,
            lost,
            version: host.text('lib/VERSION').trim(),
            unit: host.text('etc/systemd/system/fairlead.service').trim(),
          },
          ...{ database: host.text('state/history.db').trim(), form: host.text('state/schema').trim() },
        }).toEqual({ at, lost, version, unit: `unit of ${version}`, database: `form ${form}`, form });
        expectOne(host, version);
      }
    }
  },
  THOROUGH ? 1_800_000 : 60_000,
);
