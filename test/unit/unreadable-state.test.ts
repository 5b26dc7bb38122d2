/** The state disk returns read errors: the status reports them, and unreadable state never counts as lost. */
import { existsSync, lstatSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createAgentApi } from '../../agent/control/api.ts';
import { silentLog } from '../../agent/log.ts';
import { createGather } from '../../agent/metrics/prometheus/gather.ts';
import { createTally } from '../../agent/metrics/tally.ts';
import { loadIdentity, loadKeyedHash } from '../../agent/secrets/identity.ts';
import { openStore } from '../../agent/store/db.ts';
import { readOrCreate } from '../../agent/store/disk/private-file.ts';
import { tellReadErrors } from '../../agent/store/disk/read-errors.ts';
import { createDiskFullStore } from '../../agent/store/disk-full-store.ts';
import { openRecords } from '../../agent/store/records.ts';
import { openTrust } from '../../agent/store/trust.ts';
import { inMemory } from '../scratch.ts';

let dir: string;
beforeEach(() => {
  dir = inMemory('unreadable');
});
afterEach(() => rmSync(dir, { recursive: true }));

const open = () => openStore({ dir, now: () => new Date(0), log: silentLog });
/** As better-sqlite3 throws it. */
const broken = () => Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_READ' });

test('status and metrics name the disk, with the last values that were read, and a run that failed because of it is shown', () => {
  const whole = open();
  let isBroken = false;
  /** Each of its calls fails as well, also of parts that were obtained before. */
  const onDisk = <T extends object>(part: T): T =>
    Object.fromEntries(
      Object.entries(part).map(([name, act]: [string, (...args: unknown[]) => unknown]) => [
        name,
        (...args: unknown[]) => {
          if (isBroken) throw broken();
          return act(...args);
        },
      ]),
    ) as T;
  const parts = { commits: onDisk(whole.commits), outbox: onDisk(whole.outbox), runs: onDisk(whole.runs) };
  const store = createDiskFullStore({ ...whole, ...parts }, dir);
  const api = createAgentApi({
    deps: { store, clock: { now: () => new Date(0) }, redact: (value: unknown) => value } as never,
    identity: { host: 'a', fleet: 'f', labels: {}, version: '1', startedAt: '', instance: 'i' },
    facts: { os: '', arch: '', kernel: '', addresses: [] },
    problems: () => [],
    loop: () => ({ next: () => null, running: () => false }) as never,
    refresh: async () => undefined,
    localCheckout: () => Promise.reject(new Error('none')),
    kept: { list: () => [] },
  });
  const metrics = createGather({
    status: api.status,
    problems: api.problems,
    resources: () => api.resources().resources,
    isConnected: () => null,
    ...{ tally: createTally(), store, startedAt: new Date(0), root: dir },
  });
  whole.commits.set({ pin: { commit: 'c1', at: 't' } as never });
  whole.outbox.push([{ at: 't', type: 'change', run: null, data: {} }]);
  expect(api.status()).toMatchObject({ seq: 1, pin: 'c1' });
  isBroken = true;
  const line = api.failed({ reason: 'StateUnwritable', message: 'cannot write to it: disk I/O error' }, 'schedule');
  expect(line).toMatchObject({ type: 'done', run: { sync: 'failed', reason: 'StateUnwritable' } });
  expect(api.status()).toMatchObject({
    ...{ seq: 1, pin: 'c1', sync: 'failed', reason: 'StateUnwritable' },
    problems: [{ id: 'state', reason: 'StateUnwritable' }],
  });
  expect(metrics().text).toMatch(/StateUnwritable/);
  isBroken = false;
  whole.close();
});

/** Reading it is EIO, as from a broken disk (proc_pid_mem(5): nothing is mapped at address 0). */
const breakFile = (name: string) => symlinkSync('/proc/self/mem', path.join(dir, name));

test.each(['records.json', 'trust.json', 'inventory.json'])(
  'an unreadable %s is neither taken for empty nor replaced',
  (name) => {
    breakFile(name);
    const error = expect.objectContaining({
      code: 'StateUnwritable',
      message: expect.stringMatching(new RegExp(`^cannot read ${dir}/${name}: EIO`)),
    });
    expect(open).toThrow(error);
    if (name === 'records.json') expect(() => openRecords(dir)).toThrow(error);
    if (name === 'trust.json') expect(() => openTrust(dir)).toThrow(error);
    expect(lstatSync(path.join(dir, name)).isSymbolicLink()).toBe(true);
    rmSync(path.join(dir, name));
    open().close();
    expect(existsSync(path.join(dir, 'history.db'))).toBe(true);
  },
);

test.each(['age.key', 'hash.key'])('an unreadable %s is named, and not replaced', async (name) => {
  breakFile(name);
  const load = async () => (name === 'age.key' ? loadIdentity(dir, readOrCreate) : loadKeyedHash(dir, readOrCreate));
  await expect(load()).rejects.toMatchObject({
    code: 'StateUnwritable',
    message: expect.stringMatching(new RegExp(`^cannot read ${dir}/${name}: EIO`)),
  });
  expect(lstatSync(path.join(dir, name)).isSymbolicLink()).toBe(true);
});

/** SQLite reports an unreadable page in the same words as a damaged one. */
const damagePages = () => {
  const file = path.join(dir, 'history.db');
  writeFileSync(file, readFileSync(file).fill(0x5a, 4_096));
  return file;
};
const setAside = () => readdirSync(dir).filter((name) => name.includes('corrupt'));

test('a database that seems damaged is not set aside while its replacement cannot be read from the disk', () => {
  open().close();
  damagePages();
  const copy = path.join(dir, 'inventory.json');
  rmSync(copy, { force: true });
  breakFile('inventory.json');
  expect(open).toThrow(
    expect.objectContaining({ code: 'SQLITE_IOERR_READ', message: expect.stringMatching(/inventory\.json: EIO/) }),
  );
  expect(setAside()).toEqual([]);
  rmSync(copy);
  open().close();
  expect(setAside()).toHaveLength(1);
});

test('a database with an unreadable file is reported as unreadable, and not as damaged', () => {
  open().close();
  const db = new Database(damagePages());
  breakFile('part');
  tellReadErrors(db, [path.join(dir, 'part')]);
  const error = expect.objectContaining({ code: 'SQLITE_IOERR_READ', message: expect.stringMatching(/part: EIO/) });
  const look = () => db.prepare('SELECT * FROM runs').all();
  expect(look).toThrow(error);
  expect(() => db.transaction(look)()).toThrow(error);
  expect(() => db.exec('DELETE FROM runs')).toThrow(error);
  expect(() => db.pragma('foreign_key_check')).toThrow(error);
  rmSync(path.join(dir, 'part'));
  expect(look).toThrow(expect.objectContaining({ code: 'SQLITE_CORRUPT' }));
  db.close();
});
