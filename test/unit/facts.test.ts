import { readFileSync } from 'node:fs';
import os from 'node:os';
import { expect, test } from 'vitest';
import { readFacts } from '../../agent/system/facts.ts';

test('the name of the operating system is read once per os-release', async () => {
  const first = await readFacts(undefined);
  const id = /^VERSION_ID="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? '';
  expect(first.facts).toMatchObject({ arch: os.arch(), kernel: os.release() });
  expect(first.facts.os).toContain(id);
  const kept = { ...first.named, name: 'as before' };
  expect((await readFacts(kept)).named).toBe(kept);
  expect((await readFacts({ ...kept, release: 'another' })).named).toEqual(first.named);
});
