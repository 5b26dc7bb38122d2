/** Objects by id, each hashed as it is read. */
import { createHash } from 'node:crypto';
import type { StoredFile } from '../../core/payload/payload.ts';
import { broken } from '../wire/packet.ts';

export type ObjectType = 'commit' | 'tree' | 'blob' | 'tag';

export const isObjectType = (type: string | undefined): type is ObjectType =>
  type === 'commit' || type === 'tree' || type === 'blob' || type === 'tag';

/** An object with all that is in it. */
export interface Whole {
  type: ObjectType;
  bytes: Uint8Array;
}

export interface Identified extends Whole {
  oid: string;
}

/** Reads objects by id. */
export interface Objects {
  has(oid: string): Promise<boolean>;
  /** The subset of the ids that this store does not have. */
  lacking(oids: readonly string[]): Promise<string[]>;
  /** @throws MissingObject, DamagedObject */
  read(oid: string, type: ObjectType): Promise<Uint8Array>;
  /** A blob with a file of its own; null if it has none. @throws DamagedObject */
  stored?(oid: string): Promise<StoredFile | null>;
}

export class MissingObject extends Error {}
/** The object is too large to be held in memory. */
export class OversizedObject extends Error {
  /** Bytes. */
  readonly size: number;
  constructor(oid: string, size: number) {
    super(`${oid} has ${size} bytes`);
    this.size = size;
  }
}
/** The bytes on disk are not the bytes that were written: the store must be recreated. */
export class DamagedObject extends Error {}

/** The id of an object of this type with this content. */
export const idOf = ({ type, bytes }: Whole): string =>
  createHash('sha1').update(`${type} ${bytes.length}\0`).update(bytes).digest('hex');

/** A buffer that is kept must not be a slice of Node's pool: it would keep all 64 KiB of that pool in memory. */
export function unpooled(bytes: Uint8Array): Buffer {
  const own = Buffer.allocUnsafeSlow(bytes.length);
  own.set(bytes);
  return own;
}

/** @throws DamagedObject; AgentError `ProtocolError` if its type is not `wanted` */
export function verified(oid: string, wanted: ObjectType, object: Whole): Uint8Array {
  const is = idOf(object);
  if (is !== oid) throw new DamagedObject(`${oid} has other content: ${is}`);
  if (object.type !== wanted) throw broken(`${oid} is a ${object.type} where a ${wanted} belongs`);
  return object.bytes;
}
