/** Programs that a repository names inherit nothing from the agent. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { validateFile } from '../../agent/kinds/file/act/validate.ts';
import { createJobProvider } from '../../agent/kinds/job/provider.ts';
import type { JobSpec } from '../../agent/kinds/job/spec.ts';
import { type Exec, type ExecOptions, exec } from '../../agent/system/exec.ts';
import { createFiles } from '../../agent/system/files/files.ts';

const OWN = { NOTIFY_SOCKET: '/run/notify', WATCHDOG_USEC: '1', WATCHDOG_PID: '1', LISTEN_FDS: '1' };
afterEach(() => {
  for (const name of Object.keys(OWN)) delete process.env[name];
});

test('no program that the agent starts can notify systemd in its name', async () => {
  Object.assign(process.env, OWN);
  const { stdout } = await exec(['env']);
  expect(stdout).toContain('PATH=');
  for (const name of Object.keys(OWN)) expect(stdout).not.toContain(`${name}=`);
});

test('a validator has a clean environment: no proxy passwords, no tokens', async () => {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'fairlead-validate-'));
  const given: (ExecOptions | undefined)[] = [];
  const spy: Exec = async (_argv, options) => {
    given.push(options);
    return { code: 0, stdout: '', stderr: '' };
  };
  const spec = { path: '/etc/x', type: 'file', content: new Uint8Array(), validate: ['true', '%s'], secret: false };
  const want = { id: 'file:/etc/x', spec, hash: 'h'.repeat(16) };
  const tools = { files: createFiles({ root }), exec: spy, execRoot: root, stagingDir: '/staging' };
  await validateFile(tools, want as never, { mode: 0o600, uid: -1, gid: -1 });
  fs.rmSync(root, { recursive: true });
  expect(given).toEqual([expect.objectContaining({ cleanEnv: true })]);
});

test('the condition of a job runs in a unit whose name no other job can have', async () => {
  const units: string[] = [];
  const spy: Exec = async (argv) => {
    units.push(...argv.filter((arg) => arg.startsWith('--unit=')));
    return { code: 1, stdout: '', stderr: '' };
  };
  const provider = createJobProvider({ exec: spy, redact: (text) => text });
  const job = (name: string, unless?: string[]) => {
    const spec: JobSpec = {
      ...{ name, run: ['true'], when: 'always', cwd: '/', env: {}, user: 'root', timeoutMs: 1_000, onRollback: 'skip' },
      ...(unless ? { unless } : {}),
    };
    const want = { id: `job:${name}`, spec, hash: 'h', after: [], notify: [] };
    const change = { op: 'create', why: [] };
    return provider
      .apply([{ want, change, seen: undefined }] as never, new AbortController().signal)
      .catch(() => undefined);
  };
  await job('a', ['false']);
  await job('a-unless');
  expect(new Set(units).size).toBe(3);
});
