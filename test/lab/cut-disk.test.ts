/**
 * Each place that relies on an fsync, and a power cut right after the operation returned. Every case fails without its fsync,
 * except that of a new directory itself, which ext4 writes together with its name.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Checkout, ResourceId } from '../../agent/core/types.ts';
import { silentLog } from '../../agent/log.ts';
import { loadIdentity, loadKeyedHash } from '../../agent/secrets/identity.ts';
import { openStore } from '../../agent/store/db.ts';
import { readOrCreate } from '../../agent/store/disk/private-file.ts';
import { openRecords } from '../../agent/store/records.ts';
import { MIGRATIONS } from '../../agent/store/schema/migrations.ts';
import { createSnapshots } from '../../agent/store/snapshots.ts';
import { exec } from '../../agent/system/exec.ts';
import { createFiles } from '../../agent/system/files/files.ts';
import { MANY } from '../../agent/system/files/write-many.ts';
import { createExposures } from '../../agent/system/paths/exposed.ts';
import { type CutDisk, createCutDisk } from './cut-disk.ts';

const isRoot = process.getuid?.() === 0;
const OPTIONS = { mode: 0o644, uid: 0, gid: 0 };
const OLD = Buffer.from('old\n');
/** Large enough to have blocks of its own. */
const NEW = Buffer.alloc(20_000, 'new\n');
const text = (file: string) => (existsSync(file) ? readFileSync(file, 'utf8') : null);

describe.skipIf(!isRoot)('durable when the operation returns:', () => {
  let disk: CutDisk;
  beforeAll(async () => {
    disk = await createCutDisk();
  });
  afterAll(async () => disk?.remove());

  /** A directory of its own, with existing content, all of it durable. */
  const place = async (name: string, before: Record<string, Buffer> = {}) => {
    mkdirSync(path.join(disk.dir, name));
    for (const [file, content] of Object.entries(before)) writeFileSync(path.join(disk.dir, name, file), content);
    await disk.settle();
    return path.join(disk.dir, name);
  };
  const filesOf = (dir: string) => createFiles({ root: dir });

  test('nothing without a sync, otherwise these tests would prove nothing', async () => {
    const dir = await place('control', { old: OLD });
    writeFileSync(path.join(dir, 'lost'), NEW);
    const found = await disk.cut((at) => readdirSync(path.join(at, 'control')));
    expect(found).toEqual(['old']);
  });

  test('a file', async () => {
    const dir = await place('file', { a: OLD });
    await filesOf(dir).write('/a', NEW, OPTIONS);
    expect(await disk.cut((at) => text(path.join(at, 'file/a')))).toBe(NEW.toString());
  });

  test.each([
    ['by a sync of each', 3],
    ['by one sync for all', MANY],
  ])('many files, %s', async (how, count) => {
    const name = `many-${count}`;
    const all = Array.from({ length: count }, (_, n) => `f${n}`);
    const dir = await place(name, Object.fromEntries(all.map((file) => [file, OLD])));
    const files = createFiles({ root: dir, exec });
    const { failed } = await files.writeAll(all.map((file) => ({ file: `/${file}`, content: NEW, options: OPTIONS })));
    expect(failed.size, how).toBe(0);
    const lost = await disk.cut((at) => all.filter((file) => text(path.join(at, name, file)) !== NEW.toString()));
    expect(lost).toEqual([]);
  });

  test('a copy of a file', async () => {
    const dir = await place('copy', { from: NEW, to: OLD });
    await filesOf(dir).copy('/from', '/to', OPTIONS);
    expect(await disk.cut((at) => text(path.join(at, 'copy/to')))).toBe(NEW.toString());
  });

  test('a directory', async () => {
    const dir = await place('directory');
    await filesOf(dir).mkdir('/a', { ...OPTIONS, mode: 0o750 });
    expect(await disk.cut((at) => statSync(path.join(at, 'directory/a')).mode & 0o7777)).toBe(0o750);
  });

  test('a link', async () => {
    const dir = await place('link', { a: OLD });
    filesOf(dir).link('/a', 'elsewhere');
    expect(await disk.cut((at) => readlinkSync(path.join(at, 'link/a')))).toBe('elsewhere');
  });

  test('a mode', async () => {
    const dir = await place('mode', { a: OLD });
    filesOf(dir).setMeta('/a', { ...OPTIONS, mode: 0o600 });
    expect(await disk.cut((at) => statSync(path.join(at, 'mode/a')).mode & 0o7777)).toBe(0o600);
  });

  test('the removal of a file, of several, and of everything in a directory', async () => {
    const names = ['one', 'two', 'three'];
    const dir = await place('gone', Object.fromEntries(names.map((name) => [name, OLD])));
    const left = () => disk.cut((at) => readdirSync(path.join(at, 'gone')).sort());
    const files = filesOf(dir);
    files.remove('/one');
    expect(await left()).toEqual(['three', 'two']);
    await files.removeAll(['/two']);
    expect(await left()).toEqual(['three']);
    await files.empty('/', new Set());
    expect(await left()).toEqual([]);
  });

  test('the removal of a tree', async () => {
    const dir = await place('tree');
    mkdirSync(path.join(dir, 'a/b'), { recursive: true });
    await disk.settle();
    await filesOf(dir).removeTree('/a');
    expect(await disk.cut((at) => readdirSync(path.join(at, 'tree')))).toEqual([]);
  });

  test('the snapshot of a commit', async () => {
    const dir = await place('snapshot');
    const commit = 'a'.repeat(40);
    const files = new Map([['text', new Uint8Array(NEW)]]);
    const checkout: Checkout = {
      info: { ref: 'main', commit, author: 'Ann', subject: 'x', committedAt: '', committer: 'Ann', signer: null },
      ...{ hostPath: 'hosts/edge-1', hostExists: true, files },
    };
    await createSnapshots(dir).save(checkout);
    const found = await disk.cut(async (at) =>
      (await createSnapshots(path.join(at, 'snapshot')).load(commit))?.files.get('text'),
    );
    expect(found && Buffer.from(found).equals(NEW)).toBe(true);
  });

  test('a record beside the database', async () => {
    const dir = await place('records');
    const records = openRecords(dir);
    records.set('where', 'first');
    await disk.settle();
    records.set('where', 'second');
    expect(await disk.cut((at) => openRecords(path.join(at, 'records')).get('where'))).toBe('second');
  });

  test("the host's keys, which cannot be created again", async () => {
    const dir = await place('keys');
    const hashed = loadKeyedHash(dir, readOrCreate)(NEW);
    expect(await disk.cut((at) => loadKeyedHash(path.join(at, 'keys'), readOrCreate)(NEW))).toBe(hashed);
    const recipient = await (await loadIdentity(dir, readOrCreate)).recipient();
    expect(await disk.cut(async (at) => (await loadIdentity(path.join(at, 'keys'), readOrCreate)).recipient())).toBe(
      recipient,
    );
  });

  test('the paths that containers can write', async () => {
    const dir = await place('exposed');
    const exposures = (root: string) => createExposures({ root, always: [], file: '/record', isRemote: () => false });
    exposures(dir).add(['/data']);
    expect(await disk.cut((at) => exposures(path.join(at, 'exposed')).current().has('', '/data'))).toBe(true);
  });

  const openIn = (dir: string) => openStore({ dir, now: () => new Date(0), log: silentLog });
  const row = (id: ResourceId) => ({
    ...{ id, hash: 'h', owned: true, info: {} },
    origin: { file: 'x.yaml', line: 1, layer: 'hosts/a' },
  });

  test('the previous format of the database before an upgrade, and the number of the new one', async () => {
    const dir = await place('forms');
    const former = new Database(path.join(dir, 'history.db'));
    for (const sql of MIGRATIONS.slice(0, -1)) former.exec(sql);
    former.pragma(`user_version = ${MIGRATIONS.length - 1}`);
    former.close();
    await disk.settle();
    const store = openIn(dir);
    const found = await disk.cut((at) => {
      const kept = new Database(path.join(at, `forms/history.db.${MIGRATIONS.length - 1}`));
      const form = kept.pragma('user_version', { simple: true });
      kept.close();
      return { form, noted: text(path.join(at, 'forms/schema')) };
    });
    store.close();
    expect(found).toEqual({ form: MIGRATIONS.length - 1, noted: `${MIGRATIONS.length}\n` });
  });

  test('an intent, and an event that was reported', async () => {
    const dir = await place('store');
    const store = openIn(dir);
    await disk.settle();
    const seen = () =>
      disk.cut((at) => {
        const after = openIn(path.join(at, 'store'));
        const found = { ids: after.inventory.list().map(({ id }) => id), seq: after.outbox.lastSeq() };
        after.close();
        return found;
      });
    store.inventory.intend([row('file:/a')], []);
    expect(await seen()).toEqual({ ids: ['file:/a'], seq: 0 });
    store.outbox.push([{ at: 't', type: 'change', run: null, data: {} }]);
    expect(await seen()).toEqual({ ids: ['file:/a'], seq: 1 });
    store.close();
  });

  test('the copy of the inventory, from which a lost database is restored', async () => {
    const dir = await place('copied');
    const store = openIn(dir);
    store.inventory.intend([row('file:/a')], []);
    await store.inventory.copied();
    const found = await disk.cut((at) => JSON.parse(readFileSync(path.join(at, 'copied/inventory.json'), 'utf8')));
    expect(found.rows.map((found: { id: string }) => found.id)).toEqual(['file:/a']);
    store.close();
  });
});
