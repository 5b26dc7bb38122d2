/** Commands that act on a fleet: which hosts they reach, what they ask first, what they print, and their exit codes. */
import { expect, test } from 'vitest';
import type { ActRequest } from '../../agent/cli/context.ts';
import { type CliDeps, runCli } from '../../agent/cli/index.ts';
import type { HostOutcome } from '../../agent/fleet/act/outcome.ts';
import { type FleetRow, unknownRow } from '../../agent/fleet/reader/model.ts';
import type { Outcome } from '../../manifests-schema/command-names.ts';
import { COMMANDS } from '../../manifests-schema/command-names.ts';
import { fleetActDocument } from '../../manifests-schema/documents.ts';

const NOW = new Date('2026-03-01T12:00:00.000Z');
const row = (host: string, more: Partial<FleetRow> = {}): FleetRow => ({
  ...unknownRow(host),
  ...{ presence: 'online', sync: 'synced', health: 'healthy', applied: 'c'.repeat(40), at: NOW.toISOString() },
  commands: COMMANDS,
  ...more,
});
const outcome = (host: string, of: Outcome, more: Partial<HostOutcome> = {}): HostOutcome => ({
  ...{ host, outcome: of, reason: '', message: '', status: null, plan: null, pause: null, pin: null },
  ...more,
});
const PLAN = {
  ...{ commit: 'd'.repeat(40), held: null, issuesTotal: 0, counts: { update: 1 }, actionsTotal: 1 },
  actions: [{ id: 'file:/etc/motd', op: 'update', why: ['content'] }],
};

interface Setting {
  rows?: FleetRow[];
  /** The outcome of each host. */
  ends?: (host: string, command: string) => HostOutcome;
  lost?: string;
  /** Answers of the person at the terminal; absent if there is no terminal. */
  answer?: string;
}

async function cli(argv: readonly string[], { rows = [row('a'), row('b')], ends, lost, answer }: Setting = {}) {
  const acted: ActRequest[] = [];
  const questions: string[] = [];
  let read: { hosts?: readonly string[] } = {};
  let out = '';
  let err = '';
  const deps = {
    version: 'test',
    client: () => ({}),
    async readFleet(_options: unknown, request: { hosts?: readonly string[] }) {
      read = request;
      const { hosts } = request;
      return hosts
        ? { way: 'list', rows: hosts.map((host) => rows.find((one) => one.host === host) ?? unknownRow(host)) }
        : { way: 'index', rows };
    },
    async actOnFleet(_options: unknown, request: ActRequest) {
      acted.push(request);
      const outcomes = request.hosts.map((host) => (ends ?? ((one) => outcome(one, 'done')))(host, request.command));
      for (const one of outcomes) request.told(one);
      return { outcomes, lost: lost ?? null };
    },
  } as unknown as CliDeps;
  const terminal = {
    stdout(text: string) {
      out += text;
    },
    stderr(text: string) {
      err += text;
    },
    ...{ isTTY: answer !== undefined, columns: 200, rows: 50, env: { NO_COLOR: '1' }, now: () => NOW },
    interrupted: () => new AbortController().signal,
    ...(answer === undefined
      ? {}
      : {
          async ask(question: string) {
            questions.push(question);
            return answer;
          },
        }),
  };
  const code = await runCli(['fleet', ...argv], terminal as unknown as Parameters<typeof runCli>[1], deps);
  return { code, out, err, acted, questions, read };
}
const many = (n: number) => Array.from({ length: n }, (_, i) => row(`h-${i}`));

test('the hosts are listed, confirmed and commanded one by one', async () => {
  const status = {
    sync: 'synced',
    health: 'healthy',
    commit: 'e'.repeat(40),
    run: { changed: 2, failed: 0, repaired: 0 },
  };
  const { code, out, acted, read } = await cli(['sync', 'a', '--force', '--reason', 'retry'], {
    ends: (host) => outcome(host, 'done', { status }),
  });
  expect(code).toBe(0);
  expect(read.hosts).toEqual(['a']);
  expect(acted).toHaveLength(1);
  expect(acted[0]).toMatchObject({
    command: 'sync',
    args: { force: true, reason: 'retry' },
    hosts: ['a'],
    maxParallel: 20,
  });
  expect(out).toMatch(/^a +online +synced +healthy +ccccccc/m);
  expect(out).toContain('sync (reason retry, force): 1 host');
  expect(out).toContain('a  done  synced, healthy  eeeeeee  2 changed, 0 failed');
  expect(out).toMatch(/1 host: 1 done$/m);
});

test('no question is asked if no host is selected', async () => {
  const { code, err, acted } = await cli(['sync']);
  expect(code).toBe(64);
  expect(err).toContain('which hosts?');
  expect(acted).toEqual([]);
});

test('a host name that the broker does not know stops the whole command', async () => {
  const { code, err, acted } = await cli(['pause', 'a', 'typo']);
  expect(code).toBe(1);
  expect(err).toContain('the broker has nothing of typo: no host was asked');
  expect(acted).toEqual([]);
});

test('hosts are selected by label and state', async () => {
  const rows = [
    row('a', { labels: { site: 'berlin' }, sync: 'failed' }),
    row('b', { labels: { site: 'berlin' } }),
    row('c'),
  ];
  const { acted } = await cli(['sync', '--label', 'site=berlin', '--state', 'failed'], { rows });
  expect(acted[0]?.hosts).toEqual(['a']);
});

test('hosts that are offline, or do not support the command, are listed and left out', async () => {
  const rows = [row('a', { presence: 'offline' }), row('b', { commands: ['plan'] }), row('c')];
  const { code, out, acted } = await cli(['sync', '--all'], { rows });
  expect(acted[0]?.hosts).toEqual(['c']);
  expect(code).toBe(1);
  expect(out).toContain('sync: 1 host; not asked: 1 offline, 1 commands off');
  expect(out).toMatch(/3 hosts: 1 not asked: offline, 1 not asked: commands off, 1 done$/m);
});

test.each([
  ['no', { code: 1, asked: 0 }],
  ['y', { code: 0, asked: 1 }],
])('more than ten hosts need a confirmation: %s', async (answer, { code, asked }) => {
  const made = await cli(['sync', '--all'], { rows: many(11), answer });
  expect(made.questions).toEqual(['sync 11 hosts? [y/N] ']);
  expect(made.code).toBe(code);
  expect(made.acted).toHaveLength(asked);
});

test('ten hosts need no confirmation', async () => {
  const { questions, acted } = await cli(['sync', '--all'], { rows: many(10), answer: 'no' });
  expect([questions, acted.length]).toEqual([[], 1]);
});

test('without a terminal, more than ten hosts need --yes', async () => {
  const { code, err, acted } = await cli(['sync', '--all'], { rows: many(11) });
  expect([code, acted]).toEqual([64, []]);
  expect(err).toContain('this touches 11 hosts; add --yes');
  expect((await cli(['sync', '--all', '--yes'], { rows: many(11) })).acted[0]?.hosts).toHaveLength(11);
});

test('with --plan each host first reports what would change, and hosts that cannot are left out', async () => {
  const ends = (host: string, command: string) =>
    command === 'sync'
      ? outcome(host, 'done')
      : host === 'a'
        ? outcome(host, 'done', { plan: PLAN })
        : outcome(host, 'refused', { reason: 'NotReviewed', message: 'it is not signed' });
  const { out, acted, questions, code } = await cli(['sync', '--all', '--plan'], { ends, answer: 'yes' });
  expect(acted.map(({ command, hosts }) => [command, hosts])).toEqual([
    ['plan', ['a', 'b']],
    ['sync', ['a']],
  ]);
  expect(questions).toEqual(['sync 1 host? [y/N] ']);
  expect(out).toContain('a  ddddddd  1 to update\n    update  file:/etc/motd  content');
  expect(out).toContain('b  refused  it is not signed [NotReviewed]');
  expect(code).toBe(1);
});

test.each([
  ['well', 'done', 0],
  ['not well', 'unwell', 1],
  ['silent', 'silent', 1],
] as const)('the exit code reports that a host is %s', async (_what, of, code) => {
  expect((await cli(['resume', 'a'], { ends: (host) => outcome(host, of) })).code).toBe(code);
});

test('a lost broker has an exit code of its own, after a summary', async () => {
  const made = await cli(['sync', 'a', 'b'], {
    ends: (host) => outcome(host, host === 'a' ? 'open' : 'not-asked'),
    lost: 'gone',
  });
  expect(made.code).toBe(3);
  expect(made.out).toContain('Asked, and not waited for: a');
  expect(made.out).toContain('Not asked: b');
  expect(made.err).toContain('the broker was lost: gone');
});

test.each(COMMANDS)('%s prints one document that matches its schema', async (command) => {
  const { out } = await cli([command, 'a', 'b', '--json'], {
    rows: [row('a'), row('b', { presence: 'offline' })],
    ends: (host, of) => outcome(host, 'done', of === 'plan' ? { plan: PLAN } : {}),
  });
  const document = fleetActDocument.parse(JSON.parse(out));
  expect(document.hosts.map(({ host, outcome: of }) => [host, of])).toEqual([
    ['b', 'away'],
    ['a', 'done'],
  ]);
});
