/** Paths below directories that a container can write. Root of the container is uid 0 here as well. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AgentError } from '../../agent/errors.ts';
import { createFiles, type Files } from '../../agent/system/files/files.ts';
import { createExposures } from '../../agent/system/paths/exposed.ts';
import { idOf, ownIds } from '../../agent/system/paths/own-ids.ts';
import { remoteMounts } from '../../agent/system/paths/remote-mounts.ts';
import { openDirectory } from '../../agent/system/paths/walk.ts';

const META = { mode: 0o644, uid: -1, gid: -1 };
const bytes = (text: string) => new TextEncoder().encode(text);
const OWN = ['/etc/fairlead', '/var/lib/fairlead'];
const TREE = '/var/lib/fairlead/tree';

let root: string;
let files: Files;
const at = (file: string) => path.join(root, file);
const codeOf = async (act: () => unknown): Promise<string> => {
  try {
    await act();
    return 'done';
  } catch (thrown) {
    if (!(thrown instanceof AgentError)) throw thrown;
    return thrown.code;
  }
};

beforeEach(() => {
  root = fs.mkdtempSync(path.join(fs.realpathSync(os.tmpdir()), 'fairlead-exposed-'));
  for (const dir of [`${TREE}/conf`, '/etc/fairlead', '/etc/cron.d', '/srv/app/data/conf', '/srv/plain'])
    fs.mkdirSync(at(dir), { recursive: true });
  fs.writeFileSync(at('/etc/fairlead/agent.yaml'), 'mine');
  const exposures = createExposures({ root, always: [TREE] });
  exposures.add(['/srv/app']);
  files = createFiles({ root, own: OWN, stores: [TREE], exposures });
});
afterEach(() => fs.rmSync(root, { recursive: true, force: true }));

const swap = (dir: string, target: string) => {
  fs.renameSync(at(dir), at(`${dir}.away`));
  fs.symlinkSync(target, at(dir));
};

/** Every operation on a file; `to` is a file below the link. */
const ACTS: [string, (to: string) => unknown][] = [
  ['write', (to) => files.write(to, bytes('x'), META)],
  [
    'writeAll',
    async (to) => {
      for (const error of (await files.writeAll([{ file: to, content: bytes('x'), options: META }])).failed.values())
        throw error;
    },
  ],
  ['remove', (to) => files.remove(to)],
  [
    'removeAll',
    async (to) => {
      for (const answer of (await files.removeAll([to])).values()) if (answer instanceof Error) throw answer;
    },
  ],
  ['mkdir', (to) => files.mkdir(to, META)],
  ['link', (to) => files.link(to, '/x')],
  ['setMeta', (to) => files.setMeta(to, META)],
  ['removeTree', (to) => files.removeTree(path.dirname(to))],
  ['read', (to) => files.read(to)],
  ['list', (to) => files.list(path.dirname(to))],
];

describe.each(ACTS)('%s', (name, act) => {
  test("follows no link below the tree store, in particular none to fairlead's own configuration", async () => {
    swap(`${TREE}/conf`, '/etc/fairlead');
    const code = await codeOf(() => act(`${TREE}/conf/agent.yaml`));
    expect(code).toBe(name === 'removeTree' ? 'FileFailed' : 'UnsafePath');
    expect(fs.readFileSync(at('/etc/fairlead/agent.yaml'), 'utf8')).toBe('mine');
  });
  test('follows no link below a directory that a container can write', async () => {
    fs.writeFileSync(at('/etc/cron.d/app.conf'), 'cron');
    swap('/srv/app/data', '/etc');
    fs.renameSync(at('/etc/cron.d'), at('/etc/conf'));
    const code = await codeOf(() => act('/srv/app/data/conf/app.conf'));
    expect(code).toBe('UnsafePath');
    expect(fs.readFileSync(at('/etc/conf/app.conf'), 'utf8')).toBe('cron');
  });
});

describe.each(ACTS)('%s, through a link', (name, act) => {
  const refused = name === 'removeTree' ? 'FileFailed' : 'OwnPath';
  beforeEach(() => {
    fs.symlinkSync('/var/lib/own', at('/srv/back'));
    fs.symlinkSync('/run/parent/own.d', at('/srv/deep'));
    const own = ['/var/lib/own', '/run/parent/own.d'];
    files = createFiles({ root, own, stores: [], exposures: createExposures({ root, always: [] }) });
    // The check of fairlead's own paths is over.
    files.stat('/srv/plain/x');
  });
  test("creates nothing among fairlead's own paths", async () => {
    expect(await codeOf(() => act('/srv/back/x'))).toBe(refused);
    await codeOf(() => act('/srv/deep/x'));
    expect([fs.existsSync(at('/var/lib/own')), fs.existsSync(at('/run/parent/own.d'))]).toEqual([false, false]);
  });
  test.each([
    ['/var/lib/own', '/srv/back/x'],
    ['/run/parent/own.d', '/srv/deep/x'],
  ])('does not reach %s, which was created a moment ago', async (own, to) => {
    fs.mkdirSync(at(own), { recursive: true });
    fs.writeFileSync(at(`${own}/x`), 'mine');
    expect(await codeOf(() => act(to))).toBe(refused);
    expect(fs.readFileSync(at(`${own}/x`), 'utf8')).toBe('mine');
  });
});

test('an exposed directory is recognized by its identity: another path to it is refused as well', async () => {
  fs.symlinkSync('/srv/app', at('/srv/other'));
  swap('/srv/app/data', '/etc');
  expect(await codeOf(() => files.write('/srv/other/data/cron.d/x', bytes('x'), META))).toBe('UnsafePath');
  expect(fs.readdirSync(at('/etc/cron.d'))).toEqual([]);
});

test('links of root in directories that no container can write are still followed', async () => {
  fs.symlinkSync('/srv/app', at('/srv/plain/link'));
  await files.write('/srv/plain/link/data/conf/app.conf', bytes('x'), META);
  expect(fs.readFileSync(at('/srv/app/data/conf/app.conf'), 'utf8')).toBe('x');
});

test('a link that leads into an exposed directory and out of it again by `..` is refused', async () => {
  fs.symlinkSync('/srv/app/data/../../../etc', at('/srv/plain/link'));
  expect(await codeOf(() => files.write('/srv/plain/link/cron.d/x', bytes('x'), META))).toBe('UnsafePath');
});

test('a directory that is created after it was exposed is exposed', async () => {
  const exposures = createExposures({ root, always: [] });
  exposures.add(['/srv/late']);
  const late = createFiles({ root, exposures });
  await late.write('/srv/late/a/x', bytes('x'), META);
  swap('/srv/late/a', '/etc/cron.d');
  expect(await codeOf(() => late.write('/srv/late/a/x', bytes('x'), META))).toBe('UnsafePath');
  expect(fs.readdirSync(at('/etc/cron.d'))).toEqual([]);
});

test.each(['/srv/app/data', '/srv/app/disk/inner'])(
  'the target of a link of the host stays exposed: %s',
  async (source) => {
    const file = '/var/lib/fairlead/exposed.json';
    for (const dir of ['/disk/data/conf', '/disk/inner/conf']) fs.mkdirSync(at(dir), { recursive: true });
    fs.rmSync(at('/srv/app/data'), { recursive: true });
    fs.symlinkSync('../../disk/data', at('/srv/app/data'));
    fs.symlinkSync('/disk', at('/srv/app/disk'));
    const real = source === '/srv/app/data' ? '/disk/data' : '/disk/inner';
    const exposures = createExposures({ root, always: [], file });
    exposures.add([source]);
    // From now on anything below it may be a container's link, so it proves nothing any more.
    exposures.add(['/srv/app']);
    swap(`${real}/conf`, '/etc/cron.d');
    for (const known of [exposures, createExposures({ root, always: [], file })]) {
      const later = createFiles({ root, exposures: known });
      expect(await codeOf(() => later.write(`${real}/conf/app.conf`, bytes('x'), META))).toBe('UnsafePath');
    }
    expect(fs.readdirSync(at('/etc/cron.d'))).toEqual([]);
  },
);

test('everything that was ever exposed is exposed after a restart, too', async () => {
  const file = '/var/lib/fairlead/exposed.json';
  createExposures({ root, always: [], file }).add(['/srv/plain']);
  fs.symlinkSync('/etc/cron.d', at('/srv/plain/conf'));
  const later = createFiles({ root, exposures: createExposures({ root, always: [], file }) });
  expect(await codeOf(() => later.write('/srv/plain/conf/x', bytes('x'), META))).toBe('UnsafePath');
});

test.each(['/', '/etc', '/usr', '/run', '/var/lib'])(
  'a container that can write %s is root anyway: links of the system stay usable',
  async (dir) => {
    const exposures = createExposures({ root, always: [] });
    exposures.add([dir]);
    fs.symlinkSync('cron.d', at('/etc/link'));
    await createFiles({ root, exposures }).write('/etc/link/x', bytes('x'), META);
    expect(fs.readdirSync(at('/etc/cron.d'))).toEqual(['x']);
  },
);

describe('a bind source', () => {
  const check = (source: string) => codeOf(() => files.checkSource(source));
  test('may be a file, a directory, or missing', async () => {
    fs.writeFileSync(at('/srv/plain/file'), '');
    const codes = await Promise.all(['/srv/app/data', '/srv/plain/file', '/srv/none/such', `${TREE}/conf`].map(check));
    expect(codes).toEqual(['done', 'done', 'done', 'done']);
  });
  test('may be reached through a link of root that no container can write, whether a directory or a file', async () => {
    fs.symlinkSync('/srv/plain', at('/srv/link'));
    fs.writeFileSync(at('/srv/plain/file'), '');
    fs.symlinkSync('plain/file', at('/srv/filelink'));
    expect([await check('/srv/link/x'), await check('/srv/filelink')]).toEqual(['done', 'done']);
  });
  test('is refused if it has a link below a directory that a container can write, also as the last part', async () => {
    swap('/srv/app/data', '/etc');
    swap(`${TREE}/conf`, '/etc/fairlead');
    const sources = ['/srv/app/data', '/srv/app/data/cron.d', `${TREE}/conf`, `${TREE}/conf/agent.yaml`];
    expect(await Promise.all(sources.map(check))).toEqual(['UnsafePath', 'UnsafePath', 'UnsafePath', 'UnsafePath']);
  });
  test("is refused if it leads to fairlead's own paths", async () => {
    fs.symlinkSync('/etc/fairlead', at('/srv/link'));
    fs.symlinkSync('/etc/fairlead/agent.yaml', at('/srv/file'));
    const sources = ['/srv/link', '/srv/file', '/etc/fairlead/agent.yaml', '/var/lib/fairlead/new'];
    expect(await Promise.all(sources.map(check))).toEqual(['OwnPath', 'OwnPath', 'OwnPath', 'OwnPath']);
  });
  test.skipIf(process.getuid?.() !== 0)(
    'is refused behind a link of another user, but not below a directory of another user',
    async () => {
      fs.mkdirSync(at('/srv/ann/pg'), { recursive: true });
      fs.chownSync(at('/srv/ann'), 1000, 1000);
      fs.chownSync(at('/srv/ann/pg'), 999, 999);
      fs.symlinkSync('/etc', at('/srv/ann/etc'));
      fs.lchownSync(at('/srv/ann/etc'), 1000, 1000);
      expect([await check('/srv/ann/pg'), await check('/srv/ann/etc')]).toEqual(['done', 'UnsafePath']);
    },
  );
});

describe('file systems whose server may not respond', () => {
  const TABLE = [
    '22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw',
    '40 22 0:52 / /mnt/nas\\040one rw,relatime shared:9 - nfs4 nas:/one rw,vers=4.2,hard',
    '41 22 0:53 / /mnt/disk rw,relatime - ext4 /dev/vdb rw',
    '42 22 0:54 / /mnt/cloud rw,relatime - fuse.sshfs me@cloud:/ rw',
  ].join('\n');

  test('are recognized by their type', () => {
    expect(remoteMounts(TABLE)).toEqual(['/mnt/nas one', '/mnt/cloud']);
  });
  test('are not asked for the identity of a directory', () => {
    const looked: string[] = [];
    const isRemote = (file: string) => {
      looked.push(file);
      return file === '/srv/plain';
    };
    const exposures = createExposures({ root, always: ['/srv/plain', '/srv/app'], isRemote });
    const { has } = exposures.current();
    const idAt = (file: string) => idOf(fs.statSync(at(file)));
    expect({ plain: has(idAt('/srv/plain'), '/elsewhere'), app: has(idAt('/srv/app'), '/elsewhere') }).toEqual({
      plain: false,
      app: true,
    });
    expect(has('', '/srv/plain')).toBe(true);
    expect(looked).toEqual(['/srv/plain', '/srv/app']);
  });
  test('end the walk to a bind source', () => {
    fs.symlinkSync('/etc/fairlead', at('/srv/nas'));
    const forbidden = ownIds(root, OWN);
    const walk = (isRemote?: (file: string) => boolean) =>
      openDirectory('/srv/nas/data', {
        root,
        create: false,
        forbidden,
        isSource: true,
        ...(isRemote ? { isRemote } : {}),
      });
    expect(() => walk()).toThrow();
    fs.closeSync(walk((file) => file === '/srv/nas'));
  });
});
