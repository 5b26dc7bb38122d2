import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Packet, packet, packets } from '../../../agent/git/wire/packet.ts';
import {
  checkHello,
  fetchRequest,
  type Hello,
  lsRefsRequest,
  readFetch,
  readHello,
  readRefs,
} from '../../../agent/git/wire/protocol.ts';
import { failure } from './pull.ts';

const A = 'a'.repeat(40);
const B = 'b'.repeat(40);
const V2: Hello = { version: 2, capabilities: new Map([['fetch', 'shallow filter']]), refs: [] };
const V0: Hello = { version: 0, capabilities: new Map(['side-band-64k', 'ofs-delta'].map((c) => [c, ''])), refs: [] };

async function* stream(...parts: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield typeof part === 'string' ? Buffer.from(part) : part;
}
const from = (...parts: (string | Uint8Array)[]) => packets(stream(...parts));
const line = (text: string) => Buffer.from(packet(`${text}\n`)).toString();
const band = (number: number, bytes: string) => packet(String.fromCharCode(number) + bytes);

async function all(it: AsyncIterable<Packet>): Promise<Packet[]> {
  const found: Packet[] = [];
  for await (const p of it) found.push(typeof p === 'string' ? p : Buffer.from(p));
  return found;
}
async function bytesOf(pack: AsyncIterable<Uint8Array> | null): Promise<string> {
  let text = '';
  for await (const chunk of pack ?? []) text += Buffer.from(chunk).toString();
  return text;
}

test('packets survive a round trip, in chunks of any size', async () => {
  const content = fc.oneof(fc.constantFrom('0000', '0001', '0002'), fc.string({ minLength: 0, maxLength: 300 }));
  await fc.assert(
    fc.asyncProperty(fc.array(content), fc.array(fc.nat(40)), async (items, cuts) => {
      const special = new Map<string, Packet>([
        ['0000', 'flush'],
        ['0001', 'delim'],
        ['0002', 'end'],
      ]);
      const sent = items.filter((i) => !i.startsWith('ERR '));
      const whole = Buffer.concat(sent.map((i) => Buffer.from(special.has(i) ? i : packet(i))));
      const chunks: Uint8Array[] = [];
      let at = 0;
      for (const cut of cuts) {
        chunks.push(whole.subarray(at, at + cut));
        at += cut;
      }
      chunks.push(whole.subarray(at));
      const expected = sent.map((i) => special.get(i) ?? Buffer.from(i));
      expect(await all(packets(stream(...chunks)))).toEqual(expected);
    }),
  );
});

test('any bytes of a server are packets or an error with a code', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 80 })), async (chunks) => {
      for (const read of [readHello, readRefs, (f: AsyncGenerator<Packet>) => readFetch(V2, f)]) {
        const said = await failure(read(packets(stream(...chunks))));
        expect(said).toMatch(/^(ProtocolError|ServerError|UnsupportedRepository|no error)/);
      }
    }),
    { numRuns: 300 },
  );
});

test.each([
  ['text that is no packet', '<html>', /not the git protocol/],
  ['a length of 3', '0003', /not the git protocol/],
  ['a length beyond the limit', 'ffff', /not the git protocol/],
  ['a truncated packet', '00ffabc', /in the middle of a packet/],
  ['an error packet', line('ERR access denied\x1b[31m'), /the git server answered: access denied \[31m/],
])('%s is refused', async (_, text, expected) => {
  expect(await failure(all(from(text)))).toMatch(expected);
});

test('the client reads version 2 over http and over ssh, and older versions', async () => {
  const v2 = [line('version 2'), line('agent=git/2.39'), line('fetch=shallow filter'), line('object-format=sha1')];
  const over = async (...lines: string[]) => readHello(from(...lines, '0000'));
  const http = await over(line('# service=git-upload-pack'), '0000', ...v2);
  expect(http).toEqual(await over(...v2));
  expect([http.version, http.capabilities.get('fetch')]).toEqual([2, 'shallow filter']);
  const old = await over(
    line(`${A} HEAD\0multi_ack side-band-64k symref=HEAD:refs/heads/main object-format=sha1`),
    line(`${A} refs/heads/main`),
    line(`${B} refs/tags/v1`),
    line(`${A} refs/tags/v1^{}`),
  );
  expect(old.refs).toEqual([
    { name: 'HEAD', oid: A, target: 'refs/heads/main' },
    { name: 'refs/heads/main', oid: A },
    { name: 'refs/tags/v1', oid: B, peeled: A },
  ]);
  expect((await over(line('version 1'), line(`${A} refs/heads/main\0side-band-64k`))).version).toBe(1);
  expect((await over(line(`${'0'.repeat(40)} capabilities^{}\0side-band-64k`))).refs).toEqual([]);
});

test('a repository with SHA-256 ids is refused by name, in every version', async () => {
  const v2 = await readHello(from(line('version 2'), line('object-format=sha256'), '0000'));
  expect(() => checkHello(v2)).toThrow(/SHA-256/);
  expect(await failure(readHello(from(line(`${'a'.repeat(64)} HEAD\0x`), '0000')))).toMatch(/UnsupportedRepository/);
  expect(await failure(readRefs(from(line(`${'a'.repeat(64)} refs/heads/main`), '0000')))).toMatch(/SHA-256/);
});

test('the client requests refs and reads them', async () => {
  const asked = (...prefixes: string[]) => Buffer.from(lsRefsRequest(V2, prefixes)).toString();
  expect(asked('refs/heads/main')).toBe('0013command=ls-refs0001001eref-prefix refs/heads/main0000');
  expect(asked('refs/tags/v')).toBe('0013command=ls-refs00010008peel001aref-prefix refs/tags/v0000');
  expect(asked('HEAD')).toBe('0013command=ls-refs00010008peel000bsymrefs0013ref-prefix HEAD0000');
  const refs = await readRefs(
    from(
      line(`${A} HEAD symref-target:refs/heads/main`),
      line(`${B} refs/tags/v1 peeled:${A}`),
      line('unborn HEAD symref-target:refs/heads/x'),
      '0000',
    ),
  );
  expect(refs).toEqual([
    { name: 'HEAD', oid: A, target: 'refs/heads/main' },
    { name: 'refs/tags/v1', oid: B, peeled: A },
  ]);
  expect(await failure(readRefs(from(line('zzz refs/heads/main'), '0000')))).toMatch(/no object id/);
});

test('only HEAD may have another name, and a tag is peeled only by its own line', async () => {
  const alias = from(line(`${A} refs/tags/v1 symref-target:refs/tags/lab peeled:${B}`), '0000');
  expect(await readRefs(alias)).toEqual([{ name: 'refs/tags/v1', oid: A, peeled: B }]);
  const hello = await readHello(
    from(
      line(`${A} refs/tags/v1\0side-band-64k symref=refs/tags/v1:refs/tags/lab`),
      line(`${B} refs/tags/lab^{}`),
      '0000',
    ),
  );
  expect(hello.refs).toEqual([{ name: 'refs/tags/v1', oid: A }]);
});

test('a fetch lists its wants, in both versions', () => {
  const request = { wants: [A], haves: [B], shallow: [B], filter: 'tree:0', thin: true, done: true };
  const v2 = Buffer.from(fetchRequest(V2, request)).toString();
  for (const said of ['thin-pack', `want ${A}`, `have ${B}`, `shallow ${B}`, 'filter tree:0', 'done'])
    expect(v2).toContain(said);
  expect(v2).not.toContain('object-format');
  const v0 = Buffer.from(fetchRequest(V0, { wants: [A], depth: 1, done: true })).toString();
  expect(v0).toBe(`004awant ${A} side-band-64k ofs-delta\n000ddeepen 1\n00000009done\n`);
});

test('the pack is extracted from its side band, past progress and keep-alives', async () => {
  const answer = await readFetch(
    V2,
    from(
      line('acknowledgments'), line(`ACK ${A}`), line('ready'), '0001', line('shallow-info'), line(`shallow ${B}`), '0001',
      line('packfile'), band(2, 'Counting'), band(1, 'PA'), band(1, ''), band(1, 'CK'), '0000',
    ),
  ); // biome-ignore format: packets
  expect(answer.common).toEqual([A]);
  expect(await bytesOf(answer.pack)).toBe('PACK');
  const old = await readFetch(V0, from(line(`shallow ${B}`), '0000', line('NAK'), band(1, 'PACK'), '0000'));
  expect(await bytesOf(old.pack)).toBe('PACK');
});

test('no common commit is an answer, not an error', async () => {
  expect(await readFetch(V2, from(line('acknowledgments'), line('NAK'), '0000'))).toEqual({ common: [], pack: null });
});

test.each([
  ['an error in the side band', [band(1, 'PA'), band(3, 'out of memory')], /the git server answered: out of memory/],
  ['an unknown side band', [band(7, 'x')], /band that does not exist/],
  ['an end in the middle', [band(1, 'PA')], /ends too early/],
  ['endless progress', Array.from({ length: 1_100 }, () => band(2, 'x'.repeat(1_000))), /beside its pack/],
  ['endless silence', [Buffer.concat(Array.from({ length: 220_000 }, () => band(1, '')))], /beside its pack/],
])('%s ends the fetch', async (_, parts, expected) => {
  const answer = await readFetch(V2, from(line('packfile'), ...parts));
  expect(await failure(bytesOf(answer.pack))).toMatch(expected);
});
