/** Output of programs in messages: without secrets, also at a cut, and always of limited length. */
import { expect, test } from 'vitest';
import { quoting } from '../../agent/kinds/docker/quoting.ts';
import { journalOf } from '../../agent/kinds/unit/jobs.ts';
import { createRedactor } from '../../agent/secrets/redact.ts';
import { plainLog } from '../../agent/system/docker/containers.ts';
import type { ContainerInfo, Docker } from '../../agent/system/docker/types.ts';
import type { Systemd, UnitRow } from '../../agent/system/systemd/systemd.ts';

const SECRET = 'correct-horse-battery-staple';
const redactor = createRedactor();
redactor.add(SECRET);
const redact = redactor.text;

function frame(text: string): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([head, Buffer.from(text)]);
}

test.each([480, 490, 499])('a log that is cut in the middle of a secret contains no part of it: %i', async (after) => {
  const printed = plainLog(frame(`before ${SECRET}${'x'.repeat(after)}`));
  const docker = { logTail: async () => printed, run: async () => ({ exitCode: 1, output: printed }) };
  const { logTail, run } = quoting(docker as unknown as Docker, { redact });
  const shown = [await logTail('a'), (await run('a', { Cmd: [] }, 1)).output];
  for (const text of shown) expect(`before (secret)${'x'.repeat(after)}`.endsWith(text), text).toBe(true);
});

test('the output of a healthcheck is masked before it is cut', async () => {
  const log = [{ ExitCode: 1, Output: `${SECRET}${'x'.repeat(190)}` }];
  const info = { State: { Health: { Status: 'unhealthy', Log: log } } } as unknown as ContainerInfo;
  const { inspect } = quoting({ inspect: async () => info } as unknown as Docker, { redact });
  expect((await inspect('a'))?.State.Health?.Log).toEqual([{ ExitCode: 1, Output: `(secret)${'x'.repeat(190)}` }]);
});

test('a journal line that is cut in the middle of a secret contains no part of it', async () => {
  const line = `${'x'.repeat(290)}${SECRET}`;
  const exec = async () => ({ code: 0, stdout: `${line}\n`, stderr: '' });
  const said = await journalOf({ systemd: {} as Systemd, exec, redact }, { name: 'a.service', path: '' } as UnitRow);
  expect(said).toBe(`${'x'.repeat(290)}(secret)`);
});

test('a text of any length is limited to 16 KiB, its beginning and its end', () => {
  const message = `it failed: ${'z'.repeat(1_000_000)}; do this`;
  const told = redactor.deep({ message, problems: [{ message }] });
  expect(told.message).toMatch(/^it failed: z+ … \(\d+ letters more\) … z+; do this$/);
  expect(JSON.stringify(told).length).toBeLessThan(40_000);
});
