/**
 * Turns a pack into whole objects while it arrives. A delta is applied to its base, which may lie before or after it in the
 * pack or be in the store already. Deltas are never followed recursively: each object that becomes known releases the deltas
 * that waited for it, so deltas that are based on each other simply stay unresolved.
 */
import { createBudget, LARGE, MAX_DEPTH, MAX_MADE, overBudget, type PackLimits } from '../wire/budget.ts';
import { applyDelta, resultSize } from './delta.ts';
import { type Identified, idOf, type Whole } from './objects.ts';
import { type PackedObject, scanPack } from './pack.ts';

export interface UnpackOptions {
  limits: PackLimits;
  /** An object that is stored already, from this pack or an earlier one; null if it is not. */
  base(oid: string): Promise<Whole | null>;
  /** Takes in an object of the pack. */
  object(object: Identified): Promise<void>;
  /** Takes in a piece of a blob of this size, which is too large to be handed over at once. */
  piece(bytes: Uint8Array, size: number): Promise<void>;
  /** All pieces of that blob have come. */
  large(size: number): Promise<void>;
}

/**
 * Leaves out deltas of a thin pack whose bases are not in the store; the caller requests them again.
 * @throws AgentError `ProtocolError` if the bytes are no complete pack, `FetchOverBudget` if the pack exceeds its limits
 */
export type Unpack = (pack: AsyncIterable<Uint8Array>, options: UnpackOptions) => Promise<void>;

/** Bytes of objects that may be bases of later deltas, and of deltas whose bases have not arrived. */
const NEAR_BYTES = 32 * 1024 * 1024;
const WAITING_BYTES = 64 * 1024 * 1024;

interface Known {
  oid: string;
  /** Length of the delta chain that led to this object. */
  depth: number;
}

/** Bases in memory by id, the most recently used last. */
function createNear() {
  const objects = new Map<string, Whole>();
  let bytes = 0;
  return {
    get(oid: string): Whole | null {
      const found = objects.get(oid);
      if (found === undefined) return null;
      objects.delete(oid);
      objects.set(oid, found);
      return found;
    },
    put(oid: string, object: Whole): void {
      if (objects.has(oid) || object.bytes.length > NEAR_BYTES / 2) return;
      objects.set(oid, object);
      bytes += object.bytes.length;
      for (const [oldest, { bytes: its }] of objects) {
        if (bytes <= NEAR_BYTES) break;
        objects.delete(oldest);
        bytes -= its.length;
      }
    },
  };
}

/** In this process. */
export async function unpack(pack: AsyncIterable<Uint8Array>, options: UnpackOptions): Promise<void> {
  const { limits } = options;
  const budget = createBudget(limits.made);
  const largest = Math.min(limits.object, MAX_MADE);
  const byPlace = new Map<number, Known>();
  const depths = new Map<string, number>();
  const near = createNear();
  const waiting = createWaiting();

  const lookUp = async (oid: string): Promise<Whole | null> => near.get(oid) ?? (await options.base(oid));

  const refuseLarge = (size: number) => {
    if (size > largest) throw overBudget('object', size, largest);
  };

  /** Resolves a delta and hands over the object. @returns its id */
  async function make({ content }: Delta, base: Whole, depth: number): Promise<string> {
    if (depth > MAX_DEPTH) throw overBudget('depth', depth, MAX_DEPTH);
    budget.spend(resultSize(content));
    const object: Whole = { type: base.type, bytes: applyDelta(base.bytes, content) };
    const oid = idOf(object);
    near.put(oid, object);
    await options.object({ ...object, oid });
    return oid;
  }

  /** An object is known: so is all that waited for it, and for that. */
  async function note(first: Known, place: number): Promise<void> {
    const ready: { delta: Delta; base: Known }[] = [];
    const arrived = (base: Known, at: number) => {
      byPlace.set(at, base);
      depths.set(base.oid, base.depth);
      for (const key of [at, base.oid]) for (const delta of waiting.release(key)) ready.push({ delta, base });
    };
    arrived(first, place);
    for (let next = ready.pop(); next !== undefined; next = ready.pop()) {
      const { delta, base } = next;
      const object = await lookUp(base.oid);
      if (object === null) continue;
      const depth = base.depth + 1;
      arrived({ oid: await make(delta, object, depth), depth }, delta.at);
    }
  }

  async function found({ type, at, oid, content, base, size }: PackedObject): Promise<void> {
    if (oid === null || type === 'delta') {
      const delta: Delta = { at, content: content ?? Buffer.alloc(0) };
      refuseLarge(resultSize(delta.content));
      const under =
        typeof base === 'number' ? byPlace.get(base) : { oid: base ?? '', depth: depths.get(base ?? '') ?? 0 };
      const object = under === undefined ? null : await lookUp(under.oid);
      if (under === undefined || object === null) return waiting.put(base ?? '', delta);
      const depth = under.depth + 1;
      return note({ oid: await make(delta, object, depth), depth }, at);
    }
    if (content === null) await options.large(size);
    else {
      const object: Whole = { type, bytes: content };
      near.put(oid, object);
      await options.object({ ...object, oid });
    }
    return note({ oid, depth: 0 }, at);
  }

  await scanPack(pack, { limits, budget, hold: LARGE, sink: options.piece, found });
}

interface Delta {
  /** Offset of the object in the pack. */
  at: number;
  content: Buffer;
}

/** Deltas whose bases are not known yet, by the place or the id of these. */
function createWaiting() {
  const deltas = new Map<number | string, Delta[]>();
  let bytes = 0;
  return {
    put(base: number | string, delta: Delta): void {
      bytes += delta.content.length;
      if (bytes > WAITING_BYTES) throw overBudget('made', bytes, WAITING_BYTES);
      const others = deltas.get(base);
      if (others === undefined) deltas.set(base, [delta]);
      else others.push(delta);
    },
    release(base: number | string): readonly Delta[] {
      const found = deltas.get(base) ?? [];
      deltas.delete(base);
      for (const { content } of found) bytes -= content.length;
      return found;
    },
  };
}
