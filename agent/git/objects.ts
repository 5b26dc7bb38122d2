/** Objects by id, each hashed as it is read. */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import type { StoredFile } from '../core/payload.ts';
import type { Whole } from './delta.ts';
import { broken } from './packet.ts';

export type ObjectType = 'commit' | 'tree' | 'blob' | 'tag';

/** Reads objects by id. */
export interface Objects {
  has(oid: string): Promise<boolean>;
  /** Those of them that are not here. */
  lacking(oids: readonly string[]): Promise<string[]>;
  /** @throws MissingObject, DamagedObject */
  read(oid: string, type: ObjectType): Promise<Uint8Array>;
  /**
   * These blobs are read next: where they are many, they are brought into memory together. Never throws for what is damaged.
   * @returns those that are in memory
   */
  ahead?(oids: readonly string[]): Promise<ReadonlyMap<string, Uint8Array>>;
  /** A blob that lies in a file of its own; null where it does not. @throws DamagedObject */
  stored?(oid: string): Promise<StoredFile | null>;
}

export class MissingObject extends Error {}
/** What is on disk is not what was written: the store must be made anew. */
export class DamagedObject extends Error {}

/** Reads with isomorphic-git and hashes what came: neither a bad disk nor a bad pack gets past. */
export async function readVerified(
  gitdir: string,
  oid: string,
  type: ObjectType | null,
  cache: object,
): Promise<Whole> {
  const git = await import('isomorphic-git');
  const found = await git.readObject({ fs, gitdir, oid, format: 'content', cache }).catch((thrown) => {
    throw new DamagedObject(`${oid}: ${thrown instanceof Error ? thrown.message : String(thrown)}`, { cause: thrown });
  });
  const is = found.type ?? '';
  return { type: is, bytes: verified(oid, type ?? (is as ObjectType), is, unpooled(found.object as Uint8Array)) };
}

/** What stays must be no slice of the pool of 64 KiB that Node takes small buffers from: all of that would stay with it. */
export function unpooled(bytes: Uint8Array): Buffer {
  const own = Buffer.allocUnsafeSlow(bytes.length);
  own.set(bytes);
  return own;
}

/** @throws DamagedObject; AgentError `ProtocolError` where it is of another type than `wanted` */
export function verified(oid: string, wanted: ObjectType, type: string, bytes: Uint8Array): Uint8Array {
  const hash = createHash('sha1').update(`${type} ${bytes.length}\0`).update(bytes).digest('hex');
  if (hash !== oid) throw new DamagedObject(`${oid} has other content: ${hash}`);
  if (type !== wanted) throw broken(`${oid} is a ${type} where a ${wanted} belongs`);
  return bytes;
}
