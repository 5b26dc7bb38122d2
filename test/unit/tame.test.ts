/**
 * Foreign text cannot send control sequences to a terminal or change the order of text: neither on a screen, nor in a log, nor in
 * an error.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { failure } from '../../agent/cli/failure.ts';
import { show } from '../../agent/cli/host/show.ts';
import { issuesText } from '../../agent/cli/repository/annotations.ts';
import { planText } from '../../agent/cli/text/plan-text.ts';
import { actionText, runText } from '../../agent/cli/text/print.ts';
import { showText } from '../../agent/cli/text/show-text.ts';
import { statusText } from '../../agent/cli/text/status-text.ts';
import { createStyle, plain } from '../../agent/cli/text/table.ts';
import { AgentError } from '../../agent/errors.ts';
import { parseCommit } from '../../agent/git/store/commit.ts';
import { createRedactor } from '../../agent/secrets/redact.ts';
import { createLogger } from '../../agent/system/logger.ts';
import { isTame, tame, tamed, tameJson, tameLines } from '../../agent/tame.ts';

/** A title, a clear screen, a colour, C1, a bell, a carriage return, bidi controls, a hidden tag. */
const HOSTILE = 'a\u001b]0;PWNED\u0007\u001b[2J\u001b[32mb\u001b[0m\u009b1mc\rd\u202ee\u2066f\u{e0041}g';
const STEERS = /[^\P{Cc}\t\n]|[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]|[\u{e0000}-\u{e007f}]/u;
const style = createStyle(true);
const reader = { columns: 200, style, now: () => new Date('2026-11-24T12:00:00Z') };

describe('text', () => {
  test('of any content loses all control sequences, and is no longer than before', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(tame(text)).not.toMatch(STEERS);
        expect(tame(text)).not.toMatch(/[\n\t]/);
        expect(tameLines(text).replaceAll('\r\n', '\n')).not.toMatch(STEERS);
        expect(tame(text).length).toBeLessThanOrEqual(text.length);
        expect(isTame(tameLines(text))).toBe(true);
      }),
    );
  });

  test('of people stays: lines, tabs, accents, scripts, joined emoji', () => {
    const text = 'Grüße\tаб 漢字 👩‍💻 می‌خواهم\r\nשלום\n';
    expect(tameLines(text)).toBe(text);
  });

  test('of JSON keeps its data, and is safe to print', () => {
    const value = { [HOSTILE]: [HOSTILE, 1, null], plain: 'x' };
    expect(tameJson(value)).not.toMatch(STEERS);
    expect(JSON.parse(tameJson(value))).toEqual(value);
    expect(tameJson({ a: 1 }, 2)).toBe('{\n  "a": 1\n}');
  });

  test('in plain data stays the same object if it is already safe', () => {
    const value = { a: ['x', { b: 'y' }], n: 1, none: null };
    expect(tamed(value)).toBe(value);
    expect(tamed({ a: [HOSTILE], b: value }).b).toBe(value);
  });
});

test('only text from createStyle is coloured', () => {
  const painted = `${style.red('bad')} ${style.bold('x')}`;
  expect(plain(painted)).toBe(painted);
  expect(plain('\u001b[31;5mx\u001b[38;5;1my\u001b[1Az\u001b]8;;http://x\u0007')).toBe(
    '·[31;5mx·[38;5;1my·[1Az·]8;;http://x·',
  );
});

describe('documents on the command line', () => {
  const origin = { file: HOSTILE, line: 1, layer: HOSTILE };
  const why = [{ field: HOSTILE, from: HOSTILE, to: HOSTILE }];
  const action = {
    ...{ id: HOSTILE, op: 'update', why, result: 'failed', drift: true, durationMs: 1 },
    error: { code: 'X', message: HOSTILE },
  } as const;
  const commit = {
    ...{ ref: HOSTILE, commit: 'a'.repeat(40), author: HOSTILE, committer: `${HOSTILE} <x>`, subject: HOSTILE },
    ...{ committedAt: '2026-11-24T11:00:00Z', signer: HOSTILE, tag: HOSTILE },
  };
  const run = {
    ...{ id: 1, trigger: 'push', startedAt: '2026-11-24T11:00:00Z', durationMs: 1, sync: 'failed', reason: 'X' },
    ...{
      message: HOSTILE,
      commit: { ...commit, commits: [{ ...commit, touched: false }] },
      changed: 1,
      failed: 1,
      repaired: 0,
    },
  } as const;
  const problem = { id: HOSTILE, reason: 'X', message: HOSTILE, file: HOSTILE, line: 1 };
  const status = {
    ...{
      host: HOSTILE,
      fleet: HOSTILE,
      sync: 'failed',
      health: 'degraded',
      message: HOSTILE,
      desired: commit,
      applied: null,
    },
    ...{ pin: null, gate: { kind: 'pause', reason: `${HOSTILE}!`, until: null }, bad: [], run, next: null },
    ...{ resources: { total: 0, synced: 0, outOfSync: 0, failed: 0, held: 0 }, problems: [problem], problemsTotal: 1 },
  };
  const show = {
    ...{ id: HOSTILE, origin, attributes: { [HOSTILE]: { ...origin, line: 2 } }, commit, desired: { a: HOSTILE } },
    ...{ actual: HOSTILE, status: null, history: [{ run: 1, at: '2026-11-24T11:00:00Z', action }] },
    overwritten: [{ n: 1, run: 1, at: '2026-11-24T11:00:00Z', path: HOSTILE, kept: null, bytes: 1 }],
  };
  const issue = {
    file: HOSTILE,
    line: 1,
    column: 1,
    key: HOSTILE,
    message: HOSTILE,
    severity: 'error' as const,
    hosts: [HOSTILE],
  };
  const texts: Record<string, () => string> = {
    status: () => statusText(status as never, reader),
    show: () => showText(show as never, reader),
    run: () => runText({ schema: 1, run, actions: [action] } as never, reader),
    action: () => actionText(action as never, style),
    issues: () => issuesText([issue], style),
    plan: () =>
      planText(
        {
          ...{ schema: 1, commit: null, issues: [issue], error: HOSTILE, held: HOSTILE },
          actions: [{ id: HOSTILE, op: 'update', why, origin, held: HOSTILE }],
        } as never,
        reader,
      ),
  };

  test.each(Object.keys(texts))('%s', (name) => {
    const printed = plain(texts[name]?.() ?? '');
    // Only our own colours are left; none of them came from the document.
    expect(printed).not.toContain('\u001b[32mb');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they begin with one
    expect(printed.replaceAll(/\u001b\[\d+m/g, '')).not.toMatch(STEERS);
    expect(printed).toContain('a·]0;PWNED·');
  });

  test('a failure', () => {
    for (const thrown of [
      new AgentError({ code: 'Internal', phase: 'report', message: HOSTILE }),
      new Error(HOSTILE),
    ]) {
      let said = '';
      failure(thrown, (text) => {
        said += text;
      });
      expect(said).not.toMatch(STEERS);
    }
  });
});

test('show --overwritten: the bytes for a pipe, sanitized text for a terminal', async () => {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-tame-'));
  const kept = path.join(dir, 'kept');
  writeFileSync(kept, `${HOSTILE}\n`);
  const print = async (isTTY: boolean) => {
    const out: Uint8Array[] = [];
    let complained = '';
    const document = { id: 'file:/x', overwritten: [{ n: 1, run: 1, at: '', path: '/x', kept, bytes: 1 }] };
    const context = {
      client: { get: async () => document },
      options: {},
      terminal: { isTTY, stdout: (text: string | Uint8Array) => out.push(Buffer.from(text)) },
      complain: (line: string) => {
        complained += line;
      },
    };
    expect(await show(context as never, 'file:/x', { overwritten: 1 })).toBe(0);
    return { text: Buffer.concat(out).toString(), complained };
  };
  expect(await print(false)).toEqual({ text: `${HOSTILE}\n`, complained: '' });
  const shown = await print(true);
  expect(shown.text).not.toMatch(STEERS);
  expect(shown.complained).toMatch(/pipe the output/);
  rmSync(dir, { recursive: true });
});

describe('at the source', () => {
  test('an error has no control sequences, whoever wrote it', () => {
    expect(new AgentError({ code: 'ServerError', phase: 'fetch', message: HOSTILE }).message).not.toMatch(STEERS);
  });

  test('results of a run, whatever a health check, a journal or a file name contains', () => {
    const outcome = createRedactor().deep({
      problems: [{ id: 'service:a/b', message: HOSTILE }],
      actions: [{ why: [{ field: 'purge', from: HOSTILE }] }],
    });
    expect(JSON.stringify(outcome, (_, v) => (typeof v === 'string' && STEERS.test(v) ? 'STEERS' : v))).not.toContain(
      'STEERS',
    );
  });

  test('a line of the log', () => {
    let line = '';
    const write = (text: string) => {
      line += text;
    };
    const options = { journal: true, write };
    createLogger({ level: 'info', ...options }).info({ ref: HOSTILE }, `${HOSTILE}\n<0>forged`);
    expect(line.trimEnd()).not.toMatch(STEERS);
    expect(line.split('\n')).toHaveLength(2);
  });

  test('a commit’s subject and author', () => {
    const text = `tree ${'a'.repeat(40)}\nauthor ${HOSTILE.replace('\r', '')} <a@b> 1 +0000\ncommitter C <a@b> 1 +0000\n\n${HOSTILE}\n`;
    const { subject, author } = parseCommit(Buffer.from(text));
    expect(`${subject}${author.who}`).not.toMatch(STEERS);
    expect(subject).toContain('PWNED');
  });
});
