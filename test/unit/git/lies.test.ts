/** What a server may say about its refs, with `repo.verify` on: no lie makes a host apply another commit than was asked for. */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { packet } from '../../../agent/git/packet.ts';
import { type Backend, createFixture, type Fixture, scratch, startBackend } from './backend.ts';
import { createPuller, type Puller } from './pull.ts';
import { type Author, createAuthor, createSigners, type Signers } from './signing.ts';

let root: string;
let backend: Backend;
let signers: Signers;
let fixture: Fixture;
let author: Author;
let count = 0;

beforeAll(async () => {
  root = scratch();
  backend = await startBackend(root);
  signers = createSigners(root);
});
beforeEach(() => {
  fixture = createFixture(root, `fleet-${++count}.git`);
  author = createAuthor(fixture, signers);
});
afterEach(() => backend.intercept(null));
afterAll(async () => {
  await backend.stop();
  rmSync(root, { recursive: true, force: true });
});

const host = (ref: string, mode: 'head' | 'strict' = 'head'): Puller =>
  createPuller(path.join(root, `host-${++count}`), {
    url: backend.url(path.basename(fixture.dir)),
    ref,
    verify: { allowedSigners: signers.allowedSigners, mode },
  });

/** From here on the server lists exactly these lines, whatever refs are asked for. */
function lists(...lines: string[]): void {
  backend.intercept((_, response, body) => {
    if (!body.includes('command=ls-refs')) return false;
    response.writeHead(200, { 'content-type': 'application/x-git-upload-pack-result' });
    response.end(Buffer.concat([...lines.map((line) => packet(`${line}\n`)), Buffer.from('0000')]));
    return true;
  });
}

/** What a pull came to: the commit, or the reason why it is held. */
const outcome = async (puller: Puller) => {
  const { review, checkout } = await puller.pull();
  return review.hold?.reason ?? checkout?.info.commit;
};

test('a tag is checked against the name that was asked for, not against a symbolic name that the server gives it', async () => {
  const first = author.commit('first');
  const [lab, old] = [author.tag('lab-experiment'), author.tag('v1.0.0')];
  const alias = (oid: string, name: string, target: string) =>
    lists(`${oid} refs/tags/${name} symref-target:refs/tags/${target} peeled:${first}`);

  alias(lab, 'v1.9.0', 'lab-experiment');
  expect(await outcome(host('v1.*'))).toBe('BadSignature');
  alias(old, 'v1.1.0', 'v1.0.0');
  expect(await outcome(host('v1.1.0'))).toBe('BadSignature');
  alias(old, 'main', 'v1.0.0');
  expect(await outcome(host('main'))).toBe('BadSignature');
  // Under its own name it is what it says.
  alias(old, 'v1.0.0', 'v1.9.0');
  expect(await outcome(host('v1.0.0'))).toBe(first);
});
