import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createInotifyQueue, type InotifyQueue } from '../../agent/system/watch/inotify-queue.ts';
import { createPathWatch, type PathWatch } from '../../agent/system/watch/path-watch.ts';
import { until } from '../lab/run.ts';

/** Far more than any of these tests takes. */
const WAIT_MS = 60_000;
let root: string;
let watch: PathWatch;
let heard: string[];
let queue: InotifyQueue;
let losses: number;
const at = (p: string) => path.join(root, p);
const put = (p: string, text = 'x') => {
  fs.mkdirSync(path.dirname(at(p)), { recursive: true });
  fs.writeFileSync(at(p), text);
};

function start(limit = 100): void {
  watch = createPathWatch({
    root,
    limit,
    queue,
    changed: (p) => heard.push(p),
    ignored: (name) => name.startsWith('.fairlead-'),
  });
}

// The kernel limits the instances of a user (max_user_instances), and the whole machine shares them; each process keeps one.
beforeAll(() =>
  until('an instance of inotify', WAIT_MS, async () => {
    fs.watch(os.tmpdir()).close();
    return true;
  }),
);
beforeEach(() => {
  root = fs.mkdtempSync(path.join(fs.realpathSync(os.tmpdir()), 'fairlead-watch-'));
  heard = [];
  losses = 0;
  queue = createInotifyQueue();
  queue.lossy(() => losses++);
  start();
});
afterEach(() => {
  watch.close();
  fs.rmSync(root, { recursive: true, force: true });
});

/** Does something, and waits until an event of this path arrived. */
async function hears(what: string, act: () => void, p: string): Promise<void> {
  heard = [];
  act();
  await until(`the event ${what} of ${p}`, WAIT_MS, async () => heard.includes(p));
}
/** An event that comes after all earlier ones: once it arrived, all of them did. */
let marks = 0;
async function quiet(what: string, act: () => void, marker: string): Promise<void> {
  heard = [];
  act();
  await hears('the marker', () => fs.writeFileSync(at(marker), String(++marks)), marker);
  expect(
    heard.filter((p) => p !== marker),
    what,
  ).toEqual([]);
}

describe('changes of a file', () => {
  const FILE = '/etc/app/a.conf';
  beforeEach(() => {
    put(FILE);
    watch.watch([FILE, '/etc/app/mark']);
  });

  test('edits, replacements, modes, removals and returns are reported', async () => {
    await hears('an edit', () => fs.appendFileSync(at(FILE), 'y'), FILE);
    await hears(
      'a replacement',
      () => {
        fs.writeFileSync(at('/etc/app/new'), 'z');
        fs.renameSync(at('/etc/app/new'), at(FILE));
      },
      FILE,
    );
    await hears('an edit of the new inode', () => fs.appendFileSync(at(FILE), 'y'), FILE);
    await hears('a mode', () => fs.chmodSync(at(FILE), 0o600), FILE);
    await hears('a removal', () => fs.rmSync(at(FILE)), FILE);
    await hears('its return', () => put(FILE), FILE);
    await hears('a move away', () => fs.renameSync(at(FILE), at('/etc/away')), FILE);
  });

  test('other names in its directory and our own temporary files are not reported', async () => {
    await quiet('a neighbour', () => put('/etc/app/other'), '/etc/app/mark');
    await quiet('a temporary file', () => put('/etc/app/.fairlead-a.conf.1'), '/etc/app/mark');
  });
});

describe('the parent directories', () => {
  const FILE = '/srv/a/b/c/file';

  test('are followed if they are moved away and created again, at any depth', async () => {
    put(FILE);
    watch.watch([FILE]);
    for (const dir of ['/srv/a/b/c', '/srv/a/b', '/srv/a', '/srv']) {
      await hears(`${dir} moved away`, () => fs.renameSync(at(dir), at('/away')), FILE);
      await hears(`${dir} made again`, () => put(FILE), FILE);
      await hears(`an edit after ${dir}`, () => fs.appendFileSync(at(FILE), 'y'), FILE);
      fs.rmSync(at('/away'), { recursive: true });
    }
    await hears('all of it removed', () => fs.rmSync(at('/srv'), { recursive: true }), FILE);
    await hears('all of it made again', () => put(FILE), FILE);
    await hears('an edit', () => fs.appendFileSync(at(FILE), 'y'), FILE);
  });

  test('that are missing are waited for, and the file is reported when it appears', async () => {
    watch.watch([FILE]);
    await hears('the whole way made at once', () => put(FILE), FILE);
    await hears('an edit', () => fs.appendFileSync(at(FILE), 'y'), FILE);
  });

  test('that are swapped by a rename are followed to the new directory', async () => {
    put(FILE);
    put('/srv/a/b/next/file', 'next');
    watch.watch([FILE]);
    await hears(
      'a swap',
      () => {
        fs.renameSync(at('/srv/a/b/c'), at('/srv/a/b/old'));
        fs.renameSync(at('/srv/a/b/next'), at('/srv/a/b/c'));
      },
      FILE,
    );
    await hears('an edit', () => fs.appendFileSync(at(FILE), 'y'), FILE);
    fs.mkdirSync(at('/mark'));
    watch.watch([FILE, '/mark/m']);
    await quiet('an edit in the old one', () => fs.appendFileSync(at('/srv/a/b/old/file'), 'y'), '/mark/m');
  });

  test('links on the path are followed, and changes of them or of their targets are reported', async () => {
    put('/opt/one/file');
    put('/opt/two/file');
    fs.mkdirSync(at('/etc'));
    fs.symlinkSync('/opt/one', at('/etc/app'));
    watch.watch(['/etc/app/file']);
    await hears('an edit', () => fs.appendFileSync(at('/opt/one/file'), 'y'), '/etc/app/file');
    await hears('the target moved', () => fs.renameSync(at('/opt/one'), at('/opt/gone')), '/etc/app/file');
    await hears(
      'another target',
      () => {
        fs.rmSync(at('/etc/app'));
        fs.symlinkSync('../opt/two', at('/etc/app'));
      },
      '/etc/app/file',
    );
    await hears('an edit there', () => fs.appendFileSync(at('/opt/two/file'), 'y'), '/etc/app/file');
  });

  test('that become a link to themselves are waited for, and followed when they are directories again', async () => {
    put('/srv/conf/file');
    watch.watch(['/srv/conf/file']);
    await hears(
      'the loop',
      () => {
        fs.rmSync(at('/srv/conf'), { recursive: true });
        fs.symlinkSync('conf', at('/srv/conf'));
      },
      '/srv/conf/file',
    );
    expect(watch.count()).toEqual({ watched: 2, left: 0 });
    await hears(
      'the directory back',
      () => {
        fs.rmSync(at('/srv/conf'));
        put('/srv/conf/file');
      },
      '/srv/conf/file',
    );
    await hears('an edit', () => fs.appendFileSync(at('/srv/conf/file'), 'y'), '/srv/conf/file');
  });
});

test('any name of a directory can be watched', async () => {
  put('/etc/x.d/one.conf');
  watch.watch(['/etc/x.d/*', '/etc/x']);
  await hears('a new one', () => put('/etc/x.d/two.conf'), '/etc/x.d/*');
  await hears('one removed', () => fs.rmSync(at('/etc/x.d/one.conf')), '/etc/x.d/*');
  await hears('all removed', () => fs.rmSync(at('/etc/x.d'), { recursive: true }), '/etc/x.d/*');
  await hears('the directory back', () => put('/etc/x.d/three.conf'), '/etc/x.d/*');
});

test('watches that are no longer wanted are removed, and the result lists the new ones', async () => {
  for (const p of ['/a/1/f', '/a/2/f', '/b/f']) put(p);
  expect(watch.watch(['/a/1/f', '/a/2/f'])).toEqual(['/a/1/f', '/a/2/f']);
  expect(watch.count()).toEqual({ watched: 4, left: 0 });
  expect(watch.watch(['/a/1/f', '/b/f'])).toEqual(['/b/f']);
  expect(watch.count()).toEqual({ watched: 4, left: 0 });
  await quiet('a path let go of', () => fs.appendFileSync(at('/a/2/f'), 'y'), '/b/f');
  expect(watch.watch([])).toEqual([]);
  expect(watch.count()).toEqual({ watched: 0, left: 0 });
});

test('directories beyond the limit are left out and counted; freed watches are used for them', async () => {
  watch.close();
  start(3);
  for (const p of ['/a/f', '/b/f', '/c/d/f']) put(p);
  watch.watch(['/a/f', '/b/f', '/c/d/f']);
  expect(watch.count()).toEqual({ watched: 3, left: 2 });
  await hears('what is within the limit', () => fs.appendFileSync(at('/a/f'), 'y'), '/a/f');
  watch.watch(['/c/d/f']);
  expect(watch.count()).toEqual({ watched: 3, left: 0 });
  await hears('what had been left out', () => fs.appendFileSync(at('/c/d/f'), 'y'), '/c/d/f');
});

test("an overflow of the kernel's queue is noticed as a loss, a few events are not", async () => {
  put('/srv/a');
  put('/srv/b');
  put('/srv/lost');
  watch.watch(['/srv/a', '/srv/b', '/srv/lost', '/srv/mark']);
  await hears('a few', () => fs.writeFileSync(at('/srv/a'), 'y'), '/srv/a');
  await hears('the marker', () => fs.writeFileSync(at('/srv/mark'), '1'), '/srv/mark');
  expect(losses).toBe(0);
  const most = Number(fs.readFileSync('/proc/sys/fs/inotify/max_queued_events', 'utf8'));
  heard = [];
  // Two alternating events, because the kernel merges an event that equals the last one; nothing is read meanwhile.
  for (let i = 0; i < most; i++) for (const name of ['a', 'b']) fs.utimesSync(at(`/srv/${name}`), i, i);
  fs.writeFileSync(at('/srv/lost'), 'tampered');
  await until('the loss to be noticed', WAIT_MS, async () => losses > 0);
  expect(heard).not.toContain('/srv/lost');
});
