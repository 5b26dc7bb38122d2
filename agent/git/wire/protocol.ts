/**
 * Git's wire protocol without any I/O: version 2, and the needed part of version 0.
 * Source: git's Documentation/gitprotocol-v2 and gitprotocol-pack.
 */
import { AgentError } from '../../errors.ts';
import { type Budget, createBudget, MAX_ASIDE, MAX_NAME, MAX_REFS, MAX_WORDS } from './budget.ts';
import { broken, FLUSH, type Packet, packet } from './packet.ts';
import { refused } from './server-error.ts';

export interface Ref {
  /** Full name, e.g. `refs/heads/main`, or `HEAD`. */
  name: string;
  oid: string;
  /** The object that an annotated tag points to. */
  peeled?: string;
  /** Target of HEAD: a claim of the server, shown but never trusted. No other ref has one. */
  target?: string;
}

/** First message of a server. Version 2 lists refs only on request, older versions at once. */
export interface Hello {
  version: 0 | 1 | 2;
  /** Capability → its value, `''` if it has none. */
  capabilities: ReadonlyMap<string, string>;
  refs: readonly Ref[];
}

export interface FetchRequest {
  wants: readonly string[];
  haves?: readonly string[];
  /** Commits of which we have no parents. */
  shallow?: readonly string[];
  /** Commits of history to send; all when left out. */
  depth?: number;
  /** `tree:0` and such. */
  filter?: string;
  /** Deltas against objects of `haves` are welcome. */
  thin?: boolean;
  /** Without it the server answers only what it has in common, unless that is enough for a pack. */
  done: boolean;
}

export interface FetchAnswer {
  /** The subset of our `haves` that the server knows. */
  common: readonly string[];
  /** The bytes of the pack; null if the server needs more negotiation first. Must be read to its end. */
  pack: AsyncIterable<Uint8Array> | null;
}

const HEX = /^[0-9a-f]{40}$/;

const DELIM = '0001';
/** Bytes of a packet besides its content, so that an empty one is not free. */
const PACKET_COSTS = 4;

/** Reads the first answer of the server in any version. Leaves the iterator after the closing flush. */
export async function readHello(from: AsyncIterator<Packet>): Promise<Hello> {
  const words = createBudget(MAX_WORDS, 'words');
  let first = await text(from, words);
  if (first?.startsWith('# service=')) {
    // Smart HTTP announces the service in a section of its own.
    await text(from, words);
    first = await text(from, words);
  }
  if (first === 'version 2') return helloV2(from, words);
  if (first !== 'version 1') return helloV0(0, first, from);
  return helloV0(1, await text(from, words), from);
}

async function helloV2(from: AsyncIterator<Packet>, budget: Budget): Promise<Hello> {
  const capabilities = new Map<string, string>();
  for (let line = await text(from, budget); line !== null; line = await text(from, budget)) {
    const at = line.indexOf('=');
    capabilities.set(at < 0 ? line : line.slice(0, at), at < 0 ? '' : line.slice(at + 1));
  }
  return { version: 2, capabilities, refs: [] };
}

async function helloV0(version: 0 | 1, first: string | null, from: AsyncIterator<Packet>): Promise<Hello> {
  const capabilities = new Map<string, string>();
  const refs: Ref[] = [];
  const targets = new Map<string, string>();
  const budget = createBudget(MAX_REFS.hello, 'refs');
  for (let line = first; line !== null; line = await text(from, budget)) {
    const [ref = '', words] = line.split('\0');
    for (const word of words?.split(' ') ?? []) {
      const at = word.indexOf('=');
      if (word.startsWith('symref=')) {
        const [name = '', target = ''] = word.slice('symref='.length).split(':');
        targets.set(name, target);
      } else capabilities.set(at < 0 ? word : word.slice(0, at), at < 0 ? '' : word.slice(at + 1));
    }
    addRef(refs, ref);
  }
  return { version, capabilities, refs: refs.map((r) => withTarget(r, targets.get(r.name))) };
}

const withTarget = (ref: Ref, target: string | undefined): Ref =>
  target === undefined || ref.name !== 'HEAD' ? ref : { ...ref, target };

/** `<oid> <name>`; a name that ends in ^{} gives the target of the annotated tag before it. */
function addRef(refs: Ref[], line: string): void {
  const [oid = '', name = ''] = line.split(' ');
  if (name === 'capabilities^{}' || oid === 'shallow') return;
  checkId(oid);
  const last = refs.at(-1);
  if (!isName(name)) return;
  if (!name.endsWith('^{}')) refs.push({ name, oid });
  // A peeled id counts only for the tag in the line before it.
  else if (last?.name === name.slice(0, -'^{}'.length)) last.peeled = oid;
}

/** Names that git itself would refuse (git-check-ref-format(1)), or that nobody could read, are dropped. */
const isName = (name: string): boolean => Buffer.byteLength(name) <= MAX_NAME && !/\p{C}/u.test(name);

/** The request for `prefixes`, for a version 2 server. */
export function lsRefsRequest(hello: Hello, prefixes: readonly string[]): Uint8Array {
  // Branches cannot be annotated, and only HEAD is symbolic; a poll runs every minute, so it requests no more.
  const peel = prefixes.every((p) => p.startsWith('refs/heads/')) ? [] : ['peel'];
  const symrefs = prefixes.includes('HEAD') ? ['symrefs'] : [];
  return command(hello, 'ls-refs', [...peel, ...symrefs, ...prefixes.map((p) => `ref-prefix ${p}`)]);
}

/** @param limit bytes. @throws AgentError `FetchOverBudget` */
export async function readRefs(from: AsyncIterator<Packet>, limit: number = MAX_REFS.pattern): Promise<Ref[]> {
  const refs: Ref[] = [];
  const budget = createBudget(limit, 'refs');
  for (let line = await text(from, budget); line !== null; line = await text(from, budget)) {
    const [oid = '', name = '', ...attributes] = line.split(' ');
    if (oid === 'unborn') continue;
    checkId(oid);
    if (!isName(name)) continue;
    const ref: Ref = { name, oid };
    for (const attribute of attributes) {
      if (attribute.startsWith('peeled:')) ref.peeled = checkId(attribute.slice('peeled:'.length));
      if (name === 'HEAD' && attribute.startsWith('symref-target:'))
        ref.target = attribute.slice('symref-target:'.length);
    }
    refs.push(ref);
  }
  return refs;
}

export function fetchRequest(hello: Hello, request: FetchRequest): Uint8Array {
  const { wants, haves = [], shallow = [], depth, filter, thin, done } = request;
  const common = [
    ...shallow.map((oid) => `shallow ${oid}`),
    ...(depth === undefined ? [] : [`deepen ${depth}`]),
    ...(filter === undefined ? [] : [`filter ${filter}`]),
  ];
  if (hello.version === 2) {
    const lines = ['ofs-delta', 'no-progress', ...(thin ? ['thin-pack'] : []), ...wants.map((oid) => `want ${oid}`)];
    return command(hello, 'fetch', [
      ...lines,
      ...common,
      ...haves.map((oid) => `have ${oid}`),
      ...(done ? ['done'] : []),
    ]);
  }
  const features = ['side-band-64k', 'ofs-delta', 'no-progress', 'shallow'].filter((f) => hello.capabilities.has(f));
  const asked = wants.map((oid, at) => `want ${oid}${at === 0 ? ` ${features.join(' ')}` : ''}\n`);
  return Buffer.concat([
    ...[...asked, ...common.map((line) => `${line}\n`)].map(packet),
    Buffer.from(FLUSH),
    ...[...haves.map((oid) => `have ${oid}\n`), 'done\n'].map(packet),
  ]);
}

function command(hello: Hello, name: string, lines: readonly string[]): Uint8Array {
  const format = hello.capabilities.has('object-format') ? [packet('object-format=sha1')] : [];
  return Buffer.concat([
    packet(`command=${name}`),
    ...format,
    Buffer.from(DELIM),
    ...lines.map(packet),
    Buffer.from(FLUSH),
  ]);
}

/** Reads up to the first byte of the pack. */
export async function readFetch(hello: Hello, from: AsyncIterator<Packet>): Promise<FetchAnswer> {
  return hello.version === 2 ? readFetchV2(from) : readFetchV0(hello, from);
}

async function readFetchV2(from: AsyncIterator<Packet>): Promise<FetchAnswer> {
  const common: string[] = [];
  const budget = createBudget(MAX_WORDS, 'words');
  for (;;) {
    const section = await text(from, budget);
    if (section === null) return { common, pack: null };
    if (section === 'packfile') return { common, pack: sideband(from) };
    for (let next = await take(from); next !== 'delim'; next = await take(from)) {
      if (next === 'flush' || next === 'end') return { common, pack: null };
      budget.spend(PACKET_COSTS + next.length);
      if (section === 'acknowledgments') acknowledge(lineOf(next), common);
    }
  }
}

async function readFetchV0(hello: Hello, from: AsyncIterator<Packet>): Promise<FetchAnswer> {
  const common: string[] = [];
  const budget = createBudget(MAX_WORDS, 'words');
  const muxed = hello.capabilities.has('side-band-64k');
  if (!muxed) throw broken('it is too old: it cannot send a pack in the side band');
  for (;;) {
    const next = await take(from);
    budget.spend(PACKET_COSTS + next.length);
    if (typeof next === 'string') continue;
    if ((next[0] ?? 0) <= 3) return { common, pack: sideband(from, next) };
    acknowledge(lineOf(next), common);
  }
}

function acknowledge(line: string, common: string[]): void {
  const [word, oid = ''] = line.split(' ');
  if (word === 'ACK') common.push(checkId(oid));
}

/** Band 1 is the pack, 2 is progress, 3 the server's last words. */
async function* sideband(from: AsyncIterator<Packet>, first?: Uint8Array): AsyncGenerator<Uint8Array> {
  const asides = createBudget(MAX_ASIDE, 'aside');
  for (let next = first ?? (await take(from)); next !== 'flush' && next !== 'end'; next = await take(from)) {
    if (next === 'delim') throw broken('the pack is interrupted');
    // Only the content of a non-empty piece counts against the limits of a pack.
    if (next[0] !== 1 || next.length === 1) asides.spend(PACKET_COSTS + next.length);
    if (next[0] === 1) yield next.subarray(1);
    else if (next[0] === 3) throw refused(next.subarray(1));
    else if (next[0] !== 2) throw broken('the pack comes in a band that does not exist');
  }
}

async function take(from: AsyncIterator<Packet>): Promise<Packet> {
  const { value, done } = await from.next();
  if (done) throw broken('the answer ends too early');
  return value;
}

/** The next line, or null at a flush. */
async function text(from: AsyncIterator<Packet>, budget: Budget): Promise<string | null> {
  const next = await take(from);
  if (next === 'flush') return null;
  budget.spend(PACKET_COSTS + next.length);
  if (typeof next === 'string') throw broken(`there is a ${next} packet where none belongs`);
  return lineOf(next);
}

const lineOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('utf8').replace(/\n$/, '');

function checkId(oid: string): string {
  if (/^[0-9a-f]{64}$/.test(oid)) throw sha256();
  if (!HEX.test(oid)) throw broken('it sent something that is no object id');
  return oid;
}

/** Throws if the repository uses a format that we cannot read. */
export function checkHello(hello: Hello): void {
  const format = hello.capabilities.get('object-format');
  if (format === 'sha256') throw sha256();
}

const sha256 = () =>
  new AgentError({
    code: 'UnsupportedRepository',
    phase: 'fetch',
    message:
      'the repository names its objects by SHA-256, which fairlead cannot read; use a repository with SHA-1 object ids',
  });
