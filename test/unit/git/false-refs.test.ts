/** False refs of a server, with `repo.verify` on: none makes a host apply another commit than the requested one. */
import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { SourceOptions } from '../../../agent/git/access.ts';
import { packet } from '../../../agent/git/wire/packet.ts';
import { type Backend, createFixture, type Fixture, scratch, startBackend } from './backend.ts';
import { packAnswer, packOf } from './packs.ts';
import { createPuller, failure, noSignal, type Puller } from './pull.ts';
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

const host = (ref: string, mode: 'head' | 'strict' | null = 'head', more: Partial<SourceOptions> = {}): Puller =>
  createPuller(path.join(root, `host-${++count}`), {
    url: backend.url(path.basename(fixture.dir)),
    ref,
    ...(mode === null ? {} : { verify: { allowedSigners: signers.allowedSigners, mode } }),
    ...more,
  });

/** From now on the server lists exactly these lines, whatever refs are requested. */
function lists(...lines: string[]): void {
  backend.intercept((_, response, body) => {
    if (!body.includes('command=ls-refs')) return false;
    response.writeHead(200, { 'content-type': 'application/x-git-upload-pack-result' });
    response.end(Buffer.concat([...lines.map((line) => packet(`${line}\n`)), Buffer.from('0000')]));
    return true;
  });
}

/** The result of a pull: the commit, or the reason why it is held. */
const outcome = async (puller: Puller, allowRewind = false) => {
  const { review, checkout } = await puller.pull(allowRewind);
  return review.hold?.reason ?? checkout?.info.commit;
};

test('a tag is checked against the requested name, not against a symbolic name that the server gives it', async () => {
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
  // Under its own name the tag is valid.
  alias(old, 'v1.0.0', 'v1.9.0');
  expect(await outcome(host('v1.0.0'))).toBe(first);
});

/** Both the tag and the commit that it names, as a line of the server's list. */
const listed = (name: string, oid: string) => `${oid} refs/tags/${name} peeled:${author.git('rev-parse', `${oid}^{}`)}`;

describe('an accepted commit is not followed by an older one', () => {
  test('by a pattern: a lower version is held until a person allows it, also if the history was lost', async () => {
    const first = author.commit('first');
    const one = author.tag('v1.0.0');
    const second = author.commit('second');
    const two = author.tag('v1.1.0');
    const puller = host('v1.*');
    expect(await outcome(puller)).toBe(second);
    lists(listed('v1.0.0', one));
    expect(await outcome(puller)).toBe('TagWithdrawn');
    puller.accepted = null;
    const { hold } = (await puller.pull()).review;
    expect(hold?.message).toMatch(/"first" .* is v1.0.0, and this host has v1.1.0\..*sync --allow-rewind/);
    expect(await outcome(puller, true)).toBe(first);
    expect(await outcome(puller)).toBe(first);
    lists(listed('v1.0.0', one), listed('v1.1.0', two));
    expect(await outcome(puller)).toBe(second);
  });

  test('by a fixed tag: a commit that does not descend, or an older tag object, is held', async () => {
    const first = author.commit('first');
    const old = author.tag('stable', 'HEAD', '2026-01-01T00:00:00Z');
    const second = author.commit('second');
    const now = author.tag('stable', 'HEAD', '2026-02-01T00:00:00Z');
    const third = author.commit('third');
    const forgotten = author.tag('stable', 'HEAD', '2026-01-15T00:00:00Z');
    const later = author.tag('stable', 'HEAD', '2026-03-01T00:00:00Z');
    for (const mode of ['head', null] as const) {
      const puller = host('stable', mode);
      lists(listed('stable', now));
      expect(await outcome(puller)).toBe(second);
      lists(listed('stable', old));
      expect(await outcome(puller)).toBe('TagWithdrawn');
      lists(listed('stable', forgotten));
      expect(await outcome(puller)).toBe('TagWithdrawn');
      // Without a tag object it has no date and no tagger.
      lists(`${third} refs/tags/stable`);
      expect(await outcome(puller)).toBe('TagWithdrawn');
      lists(listed('stable', later));
      expect(await outcome(puller)).toBe(third);
      lists(listed('stable', old));
      expect(await outcome(puller, true)).toBe(first);
    }
  });

  test('by another kind of ref: a branch does not become a tag of the same name, nor a tag a branch', async () => {
    const first = author.commit('first');
    const old = author.tag('main');
    const second = author.commit('second');
    const branch = `${second} refs/heads/main`;
    const puller = host('main');
    lists(branch);
    expect(await outcome(puller)).toBe(second);
    lists(listed('main', old));
    expect(await outcome(puller)).toBe('RefKindChanged');
    expect(await outcome(puller, true)).toBe('RefKindChanged');
    const tagged = host('main');
    expect(await outcome(tagged)).toBe(first);
    lists(branch);
    expect(await outcome(tagged)).toBe('RefKindChanged');
    // If nothing is signed, a person's permission is enough.
    const trusting = host('main', null);
    expect(await outcome(trusting)).toBe(second);
    lists(listed('main', old));
    expect([await outcome(trusting), await outcome(trusting, true)]).toEqual(['RefKindChanged', first]);
  });
});

describe('mode strict', () => {
  /** The server sends only the commit `head` to any client, and hides `hidden`. */
  function hides(hidden: string, head: string): void {
    const content = execFileSync('git', ['cat-file', 'commit', head], { cwd: fixture.work });
    backend.intercept((_, response, body) => {
      const isFetch = body.includes('command=fetch');
      if (!isFetch || !(body.includes(`want ${head}`) || body.includes(`want ${hidden}`))) return false;
      response.writeHead(200, { 'content-type': 'application/x-git-upload-pack-result' });
      response.end(
        body.includes(`want ${hidden}`)
          ? packet(`ERR upload-pack: not our ref ${hidden}`)
          : packAnswer(packOf([{ type: 1, claims: content.length, content }])),
      );
      return true;
    });
  }
  /** A branch from `from` with one commit, merged into main. @returns the two commits */
  function merged(from: string, by: string | null): { side: string; head: string } {
    author.git('checkout', '-q', '-b', `side-${++count}`, from);
    writeFileSync(path.join(fixture.work, `side-${count}`), 'x\n');
    author.git('add', '-A');
    author.git(...(by ? signers.by(by) : []), 'commit', '-q', '-m', 'Side', ...(by ? ['-S'] : []));
    const side = author.git('rev-parse', 'HEAD');
    author.git('checkout', '-q', 'main');
    author.git(...signers.by('ann'), 'merge', '-q', '--no-ff', '-S', '-m', 'Merge', side);
    return { side, head: author.git('rev-parse', 'HEAD') };
  }

  test('a commit that the server leaves out is not taken for a signed one', async () => {
    author.commit('root');
    const base = author.commit('base');
    const puller = host('main', 'strict');
    expect(await outcome(puller)).toBe(base);
    const { side, head } = merged(base, null);
    hides(side, head);
    const { hold } = (await puller.pull()).review;
    expect(hold).toMatchObject({ reason: 'HistoryIncomplete', message: expect.stringContaining(side.slice(0, 7)) });
    // It is sent if it is requested by id, and then its missing signature is seen.
    backend.intercept(null);
    expect(await outcome(puller)).toBe('Unsigned');
    expect(await outcome(host('main', 'head'))).toBe(head);
  });

  test.each([
    [1, true],
    [80, true],
    [1, false],
  ])(
    'a branch that forked %i commits before the base is checked, and commits before the fork are not (filters: %s)',
    async (age, filters) => {
      author.git('config', 'uploadpack.allowFilter', String(filters));
      author.commit('unsigned root', null);
      const fork = author.commit('unsigned fork', null);
      for (let i = 0; i < age; i++) author.git('commit', '-q', '--allow-empty', '-m', `Unsigned ${i}`);
      const base = author.commit('base');
      const puller = host('main', 'strict');
      expect(await outcome(puller)).toBe(base);
      const { head } = merged(fork, 'ann');
      expect(await outcome(puller)).toBe(head);
      merged(fork, null);
      expect(await outcome(puller)).toBe('Unsigned');
    },
  );

  test('a server that cannot send commits without their files is not asked for all of them', async () => {
    author.git('config', 'uploadpack.allowFilter', 'false');
    const fork = author.commit('fork');
    for (let i = 0; i < 80; i++) author.git('commit', '-q', '--allow-empty', '-m', `Unsigned ${i}`);
    author.commit('base');
    const puller = host('main', 'strict');
    await puller.pull();
    merged(fork, 'ann');
    backend.traffic();
    expect(await outcome(puller)).toBe('HistoryIncomplete');
    expect(backend.traffic().requests).toBeLessThan(8);
  });

  test('between tags of two branches, every commit since the fork must be signed', async () => {
    const fork = author.commit('fork');
    author.commit('one');
    author.tag('v1.0.0');
    const puller = host('v*', 'strict');
    await puller.pull();
    author.git('checkout', '-q', '-b', 'next', fork);
    author.commit('unsigned', null);
    const signed = author.commit('signed');
    author.tag('v2.0.0');
    expect(await outcome(puller)).toBe('Unsigned');
    author.git('reset', '-q', '--hard', fork);
    const clean = author.commit('signed as well');
    author.tag('v2.0.1');
    expect([signed === clean, await outcome(puller)]).toEqual([false, clean]);
  });
});

describe('a twin of a signed commit', () => {
  /** The same commit with its signature encoded differently. */
  function twin(of: string, change: (raw: string) => string): string {
    const raw = execFileSync('git', ['cat-file', 'commit', of], { cwd: fixture.work, encoding: 'utf8' });
    const file = path.join(root, `twin-${++count}`);
    writeFileSync(file, change(raw));
    return author.git('hash-object', '--literally', '-t', 'commit', '-w', file);
  }
  const inLinesOf40 = (raw: string) =>
    raw.replace(/(?<=BEGIN SSH SIGNATURE-----\n)[\s\S]*?(?=\n -----END)/, (body) =>
      (body.replaceAll(/\s/g, '').match(/.{1,40}/g) ?? []).map((line) => ` ${line}`).join('\n'),
    );
  const withMore = (raw: string) => raw.replace(/(?=gpgsig )/, 'gpgsig-sha256 junk\n');
  const withSpace = (raw: string) => raw.replace('END SSH SIGNATURE-----\n', 'END SSH SIGNATURE----- \n');

  test.each([
    ['an armor with other line breaks', inLinesOf40],
    ['a second signature header', withMore],
    ['a space after the armor', withSpace],
  ])('with %s is an encoding that neither git nor OpenSSH write, and is held', async (_, change) => {
    const twinned = twin(author.commit('first'), change);
    const puller = host('main');
    lists(`${twinned} refs/heads/main`);
    expect(await outcome(puller)).toBe('BadSignature');
  });

  test('that was served once does not block the true commit and its descendants', async () => {
    author.commit('root');
    const original = author.commit('first');
    const twinned = twin(original, inLinesOf40);
    author.git('update-ref', 'refs/heads/evil', twinned);
    const puller = host('main', null);
    lists(`${twinned} refs/heads/main`);
    expect(await outcome(puller)).toBe(twinned);
    // The server is honest again, and does not have the twin.
    backend.intercept(null);
    author.git('update-ref', '-d', 'refs/heads/evil');
    rmSync(path.join(fixture.dir, 'objects', twinned.slice(0, 2), twinned.slice(2)));
    author.commit('second');
    const third = author.commit('third');
    expect(await outcome(puller)).toBe(third);
    // Another commit in its place is not one of its twins.
    author.git('reset', '-q', '--hard', 'HEAD~1');
    author.commit('instead');
    expect(await outcome(puller)).toBe('HistoryRewritten');
  });
});

describe('a commit that an operator names', () => {
  const named = async (puller: Puller, commit: string) => {
    const { accepted, newest } = puller;
    return puller.source.review(commit, { accepted, newest, named: true, allowRewind: false }, noSignal);
  };

  test('may be older, but must be signed and descend from the floor as any other', async () => {
    const root = author.commit('root');
    const floor = author.commit('floor');
    const unsigned = author.commit('unsigned', null);
    const older = author.commit('older');
    const head = author.commit('head');
    const puller = host('main', 'head', { since: floor });
    expect(await outcome(puller)).toBe(head);
    expect((await named(puller, older)).hold).toBeNull();
    expect((await named(puller, unsigned)).hold?.reason).toBe('Unsigned');
    expect((await named(puller, root)).hold?.reason).toBe('BelowFloor');
    expect(await failure(named(puller, 'd'.repeat(40)))).toMatch(/^CommitUnknown: the repository has no commit ddd/);
    expect((await named(puller, older)).provenance).toMatchObject({ named: true, commit: older });
    // Naming a commit does not make it the newest.
    expect(await outcome(puller)).toBe(head);
  });

  test('is reviewed without the server if it is in the store; otherwise the repository is reported as unreachable', async () => {
    const older = author.commit('older');
    const puller = host('main');
    await puller.pull();
    const head = author.commit('head');
    expect(await outcome(puller)).toBe(head);
    backend.intercept((_, response) => {
      response.destroy();
      return true;
    });
    expect((await named(puller, head)).hold).toBeNull();
    expect((await named(puller, older)).hold).toBeNull();
    expect(await failure(named(puller, 'd'.repeat(40)))).toMatch(/^RepositoryUnreachable/);
  });

  test('that was accepted by its signed tag is reviewed by that tag', async () => {
    const tagged = author.commit('not signed itself', null);
    author.tag('v1.0.0');
    const puller = host('v1.*');
    expect(await outcome(puller)).toBe(tagged);
    const before = puller.newest ?? undefined;
    author.commit('next', null);
    author.tag('v1.1.0');
    await puller.pull();
    expect((await named(puller, tagged)).hold?.reason).toBe('Unsigned');
    const { accepted, newest } = puller;
    const request = { accepted, newest, named: true, before, allowRewind: false };
    expect((await puller.source.review(tagged, request, noSignal)).hold).toBeNull();
  });
});

describe('the files of trusted signers', () => {
  test.each([
    ['writable by the group', (file: string) => chmodSync(file, 0o664)],
    ['writable by all', (file: string) => chmodSync(file, 0o646)],
    ['of somebody else', (file: string) => execFileSync('chown', ['65534', file])],
    ['in a directory that others may write', (file: string) => chmodSync(path.dirname(file), 0o777)],
  ])('are not used if they are %s', async (_, spoil) => {
    author.commit('first');
    const dir = path.join(root, `etc-${++count}`);
    execFileSync('mkdir', [dir]);
    const at = (name: string) => path.join(dir, name);
    const begin = () => {
      chmodSync(dir, 0o755);
      for (const name of ['allowed_signers', 'revoked', 'agent.yaml']) {
        rmSync(at(name), { force: true });
        writeFileSync(at(name), name === 'allowed_signers' ? readFileSync(signers.allowedSigners) : '');
      }
    };
    const verify = { allowedSigners: at('allowed_signers'), revoked: at('revoked'), namedIn: at('agent.yaml') };
    for (const name of ['allowed_signers', 'revoked', 'agent.yaml']) {
      begin();
      const puller = host('main', null, { verify: { ...verify, mode: 'head' } });
      const before = puller.source.policy();
      expect((await puller.pull()).review.hold).toBeNull();
      spoil(at(name));
      const again = host('main', null, { verify: { ...verify, mode: 'head' } });
      expect((await again.pull()).review.hold).toMatchObject({
        reason: 'VerifyUnavailable',
        message: expect.stringContaining(name === path.basename(at(name)) && _.startsWith('in') ? dir : at(name)),
      });
      expect(puller.source.policy()).toBe(before);
    }
  });

  test('are part of the policy, so that a change of their content causes a new review', async () => {
    const file = path.join(root, `signers-${++count}`);
    writeFileSync(file, readFileSync(signers.allowedSigners));
    const commit = author.commit('first');
    const puller = host('main', null, { verify: { allowedSigners: file, mode: 'head' } });
    await puller.pull();
    expect(puller.source.vouchesFor(commit)).toBe(true);
    const before = puller.source.policy();
    writeFileSync(file, `eve@example.com ${signers.key('eve')}\n`);
    expect(puller.source.policy()).not.toBe(before);
    expect(puller.source.vouchesFor(commit)).toBe(false);
    expect(await outcome(puller)).toBe('UnknownSigner');
  });
});
