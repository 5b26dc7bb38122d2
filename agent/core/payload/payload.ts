/**
 * The files of a checkout. Large ones stay on disk and are represented by their path and digest. Pure: reading is passed in.
 */
import { AgentError } from '../../errors.ts';
import type { Sha256 } from './hash.ts';
import { union } from './union.ts';

/** A large file on this machine's disk, below fairlead's own paths. */
export class StoredFile {
  /** Paths of the file: first its permanent copy, if there is one, then where it was stored first. */
  places: readonly string[];
  /** Bytes. */
  readonly size: number;
  /** Hex digest of the content; every reader checks it. */
  readonly sha256: string;
  constructor(place: string, size: number, sha256: string) {
    this.places = [place];
    this.size = size;
    this.sha256 = sha256;
  }
  /** Adds the path of a permanent copy. */
  keptAt(place: string): void {
    const first = this.places.at(-1);
    this.places = first === undefined || first === place ? [place] : [place, first];
  }
}

export type Content = Uint8Array | StoredFile;

/** Path in the repository → bytes. The bytes of a stored file are read on demand and not cached. */
export interface Payload extends ReadonlyMap<string, Uint8Array> {
  /** The file, if it is a stored one. */
  stored?(file: string): StoredFile | undefined;
  /** Whether git has it as an executable (mode 100755). */
  executable?(file: string): boolean;
  /** Whether the returned bytes are secret. */
  secret?(file: string): boolean;
  /** Beginning and end of a stored file, so that its type can be detected without reading all of it; undefined for others. */
  ends?(file: string): Uint8Array | undefined;
}

/**
 * Permission bits of a file without a declared mode: they follow git's executable bit, and a secret is readable by its owner
 * only.
 */
export function modeOf(payload: Payload, file: string): number {
  const executable = payload.executable?.(file) ?? false;
  if (payload.secret?.(file)) return executable ? 0o700 : 0o600;
  return executable ? 0o755 : 0o644;
}

/** For callers that do not need the bytes of a large file. */
export const contentOf = (payload: Payload, file: string): Content | undefined =>
  payload.stored?.(file) ?? payload.get(file);

export const sizeOf = (content: Content): number => (content instanceof StoredFile ? content.size : content.length);

/** A beginning is short, but the SOPS metadata for very many recipients is not. Bytes. */
const ENDS = 1024 * 1024;

export interface Reading {
  /** null if the file cannot be read. */
  read(path: string): Uint8Array | null;
  /** The first and the last bytes of the file, at most `most` together; null if the file cannot be read. */
  readEnds?(path: string, most: number): Uint8Array | null;
  sha256: Sha256;
  /** Files that git has as executables. */
  executable?: ReadonlySet<string>;
}

/** @throws AgentError `PayloadDamaged`, from `get` and the like, if a stored file has changed */
export function createPayload(
  files: ReadonlyMap<string, Content>,
  { read, readEnds, sha256, executable }: Reading,
): Payload {
  const bytesOf = (content: Content): Uint8Array => {
    if (!(content instanceof StoredFile)) return content;
    for (const place of content.places) {
      const bytes = read(place);
      if (bytes !== null && sha256(bytes) === content.sha256) return bytes;
    }
    throw damaged(content);
  };
  function* entries(): MapIterator<[string, Uint8Array]> {
    for (const [name, content] of files) yield [name, bytesOf(content)];
  }
  function* values(): MapIterator<Uint8Array> {
    for (const content of files.values()) yield bytesOf(content);
  }
  const payload: Payload = {
    get(name) {
      const content = files.get(name);
      return content === undefined ? undefined : bytesOf(content);
    },
    has: (name) => files.has(name),
    stored(name) {
      const content = files.get(name);
      return content instanceof StoredFile ? content : undefined;
    },
    executable: (name) => executable?.has(name) ?? false,
    ends(name) {
      const content = files.get(name);
      if (!(content instanceof StoredFile)) return undefined;
      const found = content.places.map((place) => readEnds?.(place, ENDS) ?? null).find((bytes) => bytes !== null);
      return found ?? new Uint8Array();
    },
    size: files.size,
    forEach(callback) {
      for (const [name, bytes] of entries()) callback(bytes, name, payload as Map<string, Uint8Array>);
    },
    keys: () => files.keys(),
    entries,
    values,
    [Symbol.iterator]: entries,
  };
  return payload;
}

/** A view with `own` before `shared`, without a copy of either. @param secrets the files of `own` that contain a secret */
export const overlay = (
  own: ReadonlyMap<string, Uint8Array>,
  shared: Payload,
  secrets: ReadonlySet<string> = new Set(),
): Payload =>
  Object.assign(union(own, shared), {
    stored: (file: string) => (own.has(file) ? undefined : shared.stored?.(file)),
    executable: (file: string) => shared.executable?.(file) ?? false,
    secret: (file: string) => secrets.has(file) || (shared.secret?.(file) ?? false),
  });

/** The stored file is missing, or has changed. */
export const damaged = ({ places }: StoredFile): AgentError =>
  new AgentError({
    code: 'PayloadDamaged',
    phase: 'apply',
    message: `${places.join(' and ')}, which holds a large file of the repository, is missing or damaged; it is fetched again`,
  });
