/** A held head is judged at each poll, but a signature that holds is checked once: `ssh-keygen` is counted. */
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { SourceOptions } from '../../../agent/git/access.ts';
import { exec } from '../../../agent/system/exec.ts';
import { createFixture, type Fixture, scratch } from './backend.ts';
import { createPuller, type Puller } from './pull.ts';
import { type Author, createAuthor, createSigners, type Signers } from './signing.ts';

let root: string;
let signers: Signers;
let fixture: Fixture;
let author: Author;
let allowed: string;
let puller: Puller;
let count = 0;
let checks = 0;
let signsOfLife = 0;
/** What ssh-keygen is made to fail with, if it is. */
let failing: { code: number; stdout: string; stderr: string } | null = null;
let beforeCheck: () => void = () => undefined;

beforeAll(() => {
  root = scratch();
  signers = createSigners(root);
  allowed = readFileSync(signers.allowedSigners, 'utf8');
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** An accepted commit, then an unsigned one, then ten signed ones: strict holds the head. */
beforeEach(async () => {
  writeFileSync(signers.allowedSigners, allowed);
  chmodSync(signers.allowedSigners, 0o644);
  failing = null;
  beforeCheck = () => undefined;
  fixture = createFixture(root, `fleet-${++count}.git`);
  author = createAuthor(fixture, signers);
  author.commit('first');
  puller = createPuller(path.join(root, `host-${count}`), options());
  await puller.pull();
  author.commit('not signed', null);
  for (let i = 0; i < 10; i++) author.commit(`signed ${i}`);
});

const options = (): Partial<SourceOptions> & { url: string } => ({
  url: fixture.dir,
  verify: { allowedSigners: signers.allowedSigners, mode: 'strict' },
  received: () => void signsOfLife++,
  async exec(argv, given) {
    checks++;
    beforeCheck();
    return failing ?? exec(argv, given);
  },
});

/** @returns why the head is held, and how many times ssh-keygen ran for it */
async function poll(): Promise<{ reason: string | undefined; runs: number }> {
  checks = 0;
  signsOfLife = 0;
  const { review } = await puller.pull();
  return { reason: review.hold?.reason, runs: checks };
}

test('the second poll of a held head checks no signature again', async () => {
  expect(await poll()).toEqual({ reason: 'Unsigned', runs: 20 });
  expect(await poll()).toEqual({ reason: 'Unsigned', runs: 0 });
});

test('each check is a sign of life', async () => {
  await poll();
  // Ten that hold, and the one that does not.
  expect(signsOfLife).toBe(11);
});

test('another content of the file of signers asks for each signature again', async () => {
  await poll();
  writeFileSync(signers.allowedSigners, `${allowed}# another\n`);
  expect(await poll()).toEqual({ reason: 'Unsigned', runs: 20 });
  writeFileSync(signers.allowedSigners, `eve@example.com namespaces="git" ${signers.key('eve')}\n`);
  expect((await poll()).reason).toBe('UnknownSigner');
});

test('a file of signers that others may write counts for nothing, whatever was checked before', async () => {
  await poll();
  chmodSync(signers.allowedSigners, 0o666);
  expect((await poll()).reason).toBe('VerifyUnavailable');
});

test.each([
  ['is missing', 127],
  ['fails', 255],
])('if ssh-keygen %s, the head is judged again at the next poll', async (_, code) => {
  failing = { code, stdout: '', stderr: '' };
  expect((await poll()).reason).not.toBe('Unsigned');
  failing = null;
  expect(await poll()).toEqual({ reason: 'Unsigned', runs: 20 });
});

test('a signature that holds by a file that changed during the check is not remembered under the rules before it', async () => {
  author.commit('of somebody else', 'eve');
  const both = `${allowed}eve@example.com namespaces="git" ${signers.key('eve')}\n`;
  beforeCheck = () => writeFileSync(signers.allowedSigners, both);
  expect((await poll()).reason).toBe('Unsigned');
  beforeCheck = () => undefined;
  writeFileSync(signers.allowedSigners, allowed);
  expect((await poll()).reason).toBe('UnknownSigner');
});
