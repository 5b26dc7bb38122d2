/** Commands that follow a fleet: how they print rows and events, and their exit codes. */
import { expect, test } from 'vitest';
import { type CliDeps, runCli, type Terminal } from '../../agent/cli/index.ts';
import type { FollowListener } from '../../agent/fleet/follow.ts';
import type { HostReading } from '../../agent/fleet/reader/host.ts';
import { type FleetRow, foldMessage, sortRows } from '../../agent/fleet/reader/model.ts';
import type { AnyEvent } from '../../manifests-schema/payloads.ts';
import { statusOf } from '../channel/populate.ts';

const NOW = new Date('2026-11-24T08:00:10.000Z');

function rowOf(host: string, more: object = {}, presence = 'online'): FleetRow {
  const rows = new Map<string, FleetRow>();
  foldMessage(rows, `p/f/hosts/${host}/presence`, presence);
  foldMessage(rows, `p/f/hosts/${host}/status`, JSON.stringify({ ...statusOf(host, 'f'), ...more }));
  return rows.get(host) as FleetRow;
}
const eventOf = (host: string): AnyEvent => ({
  ...{ schema: 1, host, fleet: 'f', id: `${host}-1`, seq: 1, at: NOW.toISOString(), type: 'drift', run: 3 },
  data: { resource: 'file:/etc/motd', op: 'update', result: 'done', why: [] },
});

interface Play {
  listener: FollowListener;
  rows: Map<string, FleetRow>;
  press(key: string): void;
  /** Everything that was printed so far. */
  out(): string;
}

/** Runs a command line whose fleet is simulated by `play`; the fleet continues until the reader has left, or `play` is over. */
async function cli(
  argv: readonly string[],
  { rows = [] as FleetRow[], isTTY = false, reading = {} as Partial<HostReading>, play = async (_: Play) => {} } = {},
) {
  let out = '';
  let err = '';
  let onKey: (key: string) => void = () => undefined;
  const map = new Map(rows.map((row) => [row.host, row]));
  const deps = {
    version: 'test',
    client: () => null as never,
    readFleet: async () => ({ way: 'index', rows: sortRows(map) }),
    async followFleet(_options, { signal }, listener) {
      listener.onRead(map, 'index');
      await play({ listener, rows: map, press: (key) => onKey(key), out: () => out });
      if (isTTY) expect(signal.aborted).toBe(true);
    },
    readHost: async (_options, { host }) => ({
      ...{ host, presence: 'unknown', status: null, resources: null, history: null, unreadable: [], ...reading },
    }),
  } as Pick<CliDeps, 'version' | 'client' | 'readFleet' | 'followFleet' | 'readHost'> as CliDeps;
  const terminal: Terminal = {
    stdout: (text) => {
      out += text;
    },
    stderr: (text) => {
      err += text;
    },
    ...{ isTTY, columns: 100, rows: 10, env: {}, now: () => NOW, interrupted: () => new AbortController().signal },
    keys(given) {
      onKey = given;
      return () => undefined;
    },
  };
  const code = await runCli(argv, terminal, deps);
  return { code, out, err };
}
const change = ({ listener, rows }: Play, row: FleetRow) => {
  rows.set(row.host, row);
  listener.onRow(row.host, row);
};

test('in a pipe, a watched fleet starts with totals and the hosts that are not well, then prints a line for each change', async () => {
  const { out, code } = await cli(['fleet', 'watch'], {
    rows: [rowOf('a'), rowOf('b', {}, 'offline')],
    async play(it) {
      change(it, rowOf('a', { sync: 'failed', message: 'no such image' }));
      it.rows.delete('b');
      it.listener.onRow('b', null);
    },
  });
  expect(out.split('\n')).toEqual([
    '2026-11-24 08:00:10Z  b  offline  synced  healthy  ccccccc  Raise the limit',
    '2 hosts: 1 well, 1 not; 2 on ccccccc',
    '2026-11-24 08:00:10Z  a  online  failed  healthy  ccccccc  no such image',
    '2026-11-24 08:00:10Z  b  forgotten',
    '',
  ]);
  expect(code).toBe(0);
});

test('with --json each row and each change is a one-line document; rows that the filter excludes are absent', async () => {
  const { out } = await cli(['fleet', 'status', '--watch', '--json', '--host', 'a*'], {
    rows: [rowOf('a'), rowOf('b')],
    async play(it) {
      change(it, rowOf('b', { sync: 'failed' }));
      change(it, rowOf('a', { sync: 'held' }));
    },
  });
  const lines = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { host: string; row: FleetRow });
  expect(lines.map(({ host, row }) => [host, row.sync])).toEqual([
    ['a', 'synced'],
    ['a', 'held'],
  ]);
});

const PAUSE = { kind: 'pause', reason: 'paused: a disk is changed', until: '2026-11-24T08:30:10.000Z' };

test('a paused host is listed above the healthy ones, with the reason and the end of the pause', async () => {
  const hosts = [rowOf('b', { gate: PAUSE }), rowOf('a'), rowOf('c', { gate: { ...PAUSE, until: null } })];
  const { out } = await cli(['fleet', 'status'], { rows: hosts });
  const lines = out.split('\n');
  expect(lines[1]).toMatch(/^b .* paused: a disk is changed; ends in 30 min$/);
  expect(lines[2]).toMatch(/^c .* paused: a disk is changed$/);
  expect(lines[3]).toMatch(/^a .* Raise the limit$/);
  expect(lines).toContain('3 hosts: 3 well (2 of them paused), 0 not; 3 on ccccccc');
});

test('--state paused shows the paused hosts alone', async () => {
  const { out } = await cli(['fleet', 'status', '--state', 'paused'], {
    rows: [rowOf('a'), rowOf('b', { gate: PAUSE })],
  });
  expect(out).toMatch(/^b {2}/m);
  expect(out).not.toMatch(/^a {2}/m);
});

test('a host that waits for its window shows when the window opens', async () => {
  const held = {
    sync: 'held',
    message: 'commit a1b2c3d waits for the window',
    gate: { kind: 'window', reason: '', until: '2026-11-24T11:00:10.000Z' },
  };
  const { out } = await cli(['fleet', 'status'], { rows: [rowOf('a', held)] });
  expect(out).toContain('commit a1b2c3d waits for the window; opens in 3 h');
});

test('in a pipe, a watched fleet also starts with the paused hosts', async () => {
  const { out } = await cli(['fleet', 'watch'], { rows: [rowOf('a'), rowOf('b', { gate: PAUSE })] });
  expect(out.split('\n')[0]).toContain(
    'b  online  synced  healthy  ccccccc  paused: a disk is changed; ends in 30 min',
  );
});

test('on a terminal the table is redrawn when rows change, scrolled by keys, and closed by q', async () => {
  const { out, code } = await cli(['fleet', 'watch'], {
    isTTY: true,
    rows: Array.from({ length: 20 }, (_, i) => rowOf(`h-${String(i).padStart(2, '0')}`)),
    async play(it) {
      expect(it.out()).toContain('1 to 6 of 20');
      it.press('pagedown');
      expect(it.out()).toContain('7 to 12 of 20');
      for (let i = 0; i < 100; i++) change(it, rowOf('h-19', { sync: 'failed', message: `try ${i}` }));
      it.press('pageup');
      await expect.poll(it.out).toContain('try 99');
      it.press('q');
    },
  });
  // A hundred changes are one redraw, or two.
  expect(out.match(/try \d+/g)?.length).toBeLessThan(5);
  expect(out.endsWith('\u001b[?1049l')).toBe(true);
  expect(code).toBe(0);
});

test('events of the selected hosts are printed, each with its host in front', async () => {
  const { out } = await cli(['fleet', 'events', '--label', 'site=berlin'], {
    rows: [rowOf('a'), rowOf('b', { labels: { site: 'rome' } })],
    async play({ listener }) {
      for (const host of ['b', 'nobody', 'a']) listener.onEvent?.(eventOf(host));
    },
  });
  expect(out).toBe('a  08:00:10Z  drift     #3  file:/etc/motd  update done\n');
});

test('a host is shown with its presence, status and resources, unwell ones first', async () => {
  const resource = (id: string, sync: string) => ({ id, sync, health: 'healthy', reason: '' });
  const reading = {
    ...{ presence: 'online' as const, status: statusOf('a', 'f'), unreadable: ['history'] },
    resources: [resource('file:/etc/a', 'synced'), resource('file:/etc/b', 'failed')],
  };
  const { out, code } = await cli(['fleet', 'show', 'a'], { reading });
  expect(out).toMatch(/^a is online\na {2}synced, healthy/);
  expect(out.indexOf('file:/etc/b')).toBeLessThan(out.indexOf('file:/etc/a'));
  expect(out).toContain('This version cannot read its history');
  expect(code).toBe(0);
});

test('a host without any message at the broker is unknown, an offline host is not well', async () => {
  expect(await cli(['fleet', 'show', 'a'])).toMatchObject({ code: 4, err: expect.stringMatching(/nothing of a;/) });
  expect((await cli(['fleet', 'show', 'a'], { reading: { presence: 'offline' } })).code).toBe(1);
});
