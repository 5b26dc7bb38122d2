/** The agent dies before and after each of its calls that change something in systemd: the next process completes the work. */
import { lstatSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Systemd } from '../../../agent/system/systemd/systemd.ts';
import { createFakeHost, type FakeHost, reconcilerOn } from '../../fakes/host.ts';
import { type Mortal, mortal } from '../../fakes/mortal.ts';
import type { Reconciler } from '../../reconciler.ts';
import type { Repo } from '../repo.ts';

const CHANGES: readonly (keyof Systemd)[] = [
  'reload',
  'job',
  'enable',
  'enableAll',
  'reenable',
  'disable',
  'resetFailed',
];
const LAST_ROUND = 60;

let host: FakeHost;
let agent: Mortal<Systemd>;
let engine: Reconciler;

const begin = (isOld: boolean) => {
  host = createFakeHost({
    isOld,
    systemd: (real) => {
      agent = mortal(real, CHANGES);
      return agent.driver;
    },
  });
  engine = reconcilerOn(host, { rollback: true });
};
const end = () => {
  engine.close();
  host.end();
};
beforeEach(() => begin(false));
afterEach(end);

const manifest = (units: Record<string, object>): Repo => ({ 'a.yaml': JSON.stringify({ units }) });
const service = (word: string, install = '[Install]\nWantedBy=multi-user.target\n') =>
  `[Service]\nExecStart=/bin/sleep infinity\nEnvironment=WORD=${word}\n${install}`;
/** The units as systemd has loaded them, not the files on disk. */
const loaded = (name: string) => host.systemd.unit(name).text;
const etc = (file: string) => path.join(host.root, 'etc/systemd/system', file);

/** Also true for a link whose target does not exist on this machine. */
const isThere = (at: string) => lstatSync(at, { throwIfNoEntry: false }) !== undefined;

/** @returns the number of deaths */
async function sweep(
  isOld: boolean,
  before: () => Promise<unknown>,
  change: () => Promise<unknown>,
  after: (told: string) => Promise<void> | void,
): Promise<number> {
  for (let round = 1; round < LAST_ROUND; round++)
    for (const when of ['before', 'after'] as const) {
      end();
      begin(isOld);
      await before();
      const dead = await agent.live(round, when, change);
      if (dead) {
        engine.restart();
        await engine.again();
      }
      const told = dead ? `died ${when} change ${round}` : 'it lived';
      await after(told);
      expect((await engine.again()).outcome.actions, told).toEqual([]);
      if (!dead) return round - 1;
    }
  throw new Error('it never came to its end');
}

describe.each([
  ['Debian 13', false],
  ['Debian 12', true],
])('on %s', (_, isOld) => {
  const first = () =>
    engine.apply(manifest({ 'app.service': { content: service('one'), enabled: true, state: 'started' } }));
  const runs = (word: string, told: string) => {
    expect(host.systemd.unit('app.service').active, told).toBe('active');
    expect(loaded('app.service'), told).toContain(`WORD=${word}`);
    expect(isThere(etc('multi-user.target.wants/app.service')), told).toBe(true);
  };

  test('a unit is created', async () => {
    const deaths = await sweep(
      isOld,
      async () => undefined,
      first,
      (told) => runs('one', told),
    );
    expect(deaths).toBeGreaterThanOrEqual(3);
  });

  test('a running unit is changed', async () => {
    const deaths = await sweep(
      isOld,
      first,
      () => engine.apply(manifest({ 'app.service': { content: service('two'), enabled: true, state: 'started' } })),
      (told) => runs('two', told),
    );
    expect(deaths).toBeGreaterThanOrEqual(2);
  });

  test('a running unit gets a drop-in', async () => {
    const dropins = { '10-a.conf': { content: '[Service]\nEnvironment=WORD=dropped\n' } };
    const deaths = await sweep(
      isOld,
      first,
      () =>
        engine.apply(
          manifest({ 'app.service': { content: service('one'), dropins, enabled: true, state: 'started' } }),
        ),
      (told) => {
        runs('one', told);
        runs('dropped', told);
      },
    );
    expect(deaths).toBeGreaterThanOrEqual(2);
  });

  describe('a running foreign unit', () => {
    const dropins = { '10-a.conf': { content: '[Service]\nEnvironment=WORD=dropped\n' } };
    const theirs = async () => {
      mkdirSync(path.join(host.root, 'usr/lib/systemd/system'), { recursive: true });
      writeFileSync(path.join(host.root, 'usr/lib/systemd/system/other.service'), service('theirs', ''));
      await host.systemd.systemd.reload();
      await host.systemd.systemd.job('StartUnit', 'other.service');
    };
    const given = () => engine.apply(manifest({ 'other.service': { dropins, on_change: 'none' } }));

    test('gets a drop-in, and keeps running', async () => {
      const deaths = await sweep(isOld, theirs, given, (told) => {
        expect(loaded('other.service'), told).toContain('WORD=dropped');
        expect(host.systemd.unit('other.service').active, told).toBe('active');
      });
      expect(deaths).toBeGreaterThanOrEqual(1);
    });

    test('loses the drop-in again', async () => {
      const deaths = await sweep(
        isOld,
        async () => {
          await theirs();
          await given();
        },
        () => engine.apply({ 'a.yaml': 'files: {/srv/a: {content: a}}\n' }),
        (told) => {
          expect(loaded('other.service'), told).not.toContain('WORD=dropped');
          expect(host.systemd.unit('other.service').active, told).toBe('active');
        },
      );
      expect(deaths).toBeGreaterThanOrEqual(2);
    });
  });

  test('a completed oneshot does not run again', async () => {
    const content = '[Service]\nType=oneshot\nExecStart=/bin/sh -c "echo ran"\n';
    const deaths = await sweep(
      isOld,
      async () => undefined,
      () => engine.apply(manifest({ 'once.service': { content, state: 'started' } })),
      (told) => expect(host.systemd.unit('once.service').log, told).toEqual(['ran']),
    );
    expect(deaths).toBeGreaterThanOrEqual(2);
  });

  test('several units are enabled together', async () => {
    const units = Object.fromEntries(
      ['a', 'b', 'c'].map((name) => [`${name}.service`, { content: service(name), enabled: true, state: 'started' }]),
    );
    await sweep(
      isOld,
      async () => undefined,
      () => engine.apply(manifest(units)),
      (told) => {
        for (const name of ['a', 'b', 'c']) {
          expect(host.systemd.unit(`${name}.service`).active, told).toBe('active');
          expect(isThere(etc(`multi-user.target.wants/${name}.service`)), told).toBe(true);
        }
      },
    );
  });

  test('a unit is masked', async () => {
    await sweep(
      isOld,
      first,
      () => engine.apply(manifest({ 'app.service': { masked: true, state: 'stopped' } })),
      (told) => {
        expect(host.systemd.unit('app.service').active, told).toBe('inactive');
        expect(host.systemd.unit('app.service').load, told).toBe('masked');
      },
    );
  });

  test('a unit is removed together with everything that was created for it', async () => {
    const other = { 'b.service': { content: service('b'), state: 'started' } };
    const deaths = await sweep(
      isOld,
      () =>
        engine.apply(
          manifest({ ...other, 'app.service': { content: service('one'), enabled: true, state: 'started' } }),
        ),
      () => engine.apply(manifest(other)),
      (told) => {
        expect(host.systemd.unit('app.service'), told).toMatchObject({ load: 'not-found', active: 'inactive' });
        expect(isThere(etc('app.service')), told).toBe(false);
        expect(isThere(etc('multi-user.target.wants/app.service')), told).toBe(false);
      },
    );
    expect(deaths).toBeGreaterThanOrEqual(3);
  });
});
