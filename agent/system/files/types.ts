/** Facts about a file, and operations on files. */

import type { Content } from '../../core/payload/payload.ts';

export interface FileStat {
  type: 'file' | 'directory' | 'link' | 'other';
  mode: number;
  uid: number;
  gid: number;
  size: number;
  /** Hard links. */
  links: number;
  dev: number;
  ino: number;
  /** Milliseconds since the epoch of the latest change of content, and of content or metadata. */
  mtimeMs: number;
  ctimeMs: number;
  /** Hex, where it was asked for. */
  sha256?: string;
}

export interface WriteOptions {
  mode: number;
  uid: number;
  gid: number;
}

export interface NewFile {
  file: string;
  content: Content;
  options: WriteOptions;
}

/** Results of writing many files, by path. */
export interface Written {
  written: ReadonlyMap<string, FileStat>;
  failed: ReadonlyMap<string, Error>;
}

/** Something in a directory that is being emptied. */
export interface ForeignFile {
  name: string;
  stat: FileStat;
  /** Hex SHA-256 of a regular file. */
  hash(): string;
  /** Copies its bytes, as `Files.copy` does. */
  copyTo(to: string, options: WriteOptions, limit?: number): Promise<void>;
}

/** All paths are the host's; `root` is put before them. Every call throws AgentError with a sentence for people. */
export interface Files {
  /** undefined if there is nothing, or a parent is missing. */
  stat(file: string): FileStat | undefined;
  /**
   * Facts about many files; each directory is walked once. Missing files are left out; a path that must not be followed has
   * an error.
   * @param hashIf selects the regular files whose content is hashed
   * @param before the result of an earlier call: if stat reports the same for a file, the same object is returned
   */
  statAll(
    files: readonly string[],
    hashIf?: (file: string, stat: FileStat) => boolean,
    before?: (file: string) => FileStat | undefined,
  ): Map<string, FileStat | Error>;
  read(file: string): Buffer;
  /** Hex SHA-256 of a regular file. */
  hash(file: string): string;
  readlink(file: string): string;
  /** Names in a directory; none if it does not exist. @param limit as many at most, since others may put any number there */
  list(directory: string, limit?: number): string[];
  /**
   * Atomic and durable: temp file in the same directory, owner, mode, fsync, rename, fsync of the directory.
   * @returns what it is, but for the time of its last renaming
   */
  write(file: string, content: Content, options: WriteOptions): Promise<FileStat>;
  /** The same of many: durable together where that costs less. */
  writeAll(entries: readonly NewFile[]): Promise<Written>;
  /**
   * The same with the bytes of another file of the host, holes left out.
   * @param limit bytes that it may have @throws AgentError `OriginalTooLarge`
   */
  copy(from: string, to: string, options: WriteOptions, limit?: number): Promise<void>;
  /** Durable when it resolves; many at once are made so together. */
  mkdir(file: string, options: WriteOptions): Promise<void>;
  link(file: string, target: string): void;
  /**
   * Sets the owner of a directory, or of a file that has a single name and belongs to that user already.
   * @throws AgentError `UnsafePath`
   */
  setMeta(file: string, options: WriteOptions): void;
  /** Removes a file, a link, or an empty directory. Answers false if the directory is not empty. */
  remove(file: string): boolean;
  /** The same of many, in this order, durable when it resolves. @returns for each what `remove` answers, or would throw */
  removeAll(files: readonly string[]): Promise<Map<string, boolean | Error>>;
  /**
   * Walks to what a container is to mount, as the Docker engine does without looking: a link counts only where root made it
   * in a directory of root's that no container can write. @throws AgentError `UnsafePath`, `OwnPath`
   */
  checkSource(source: string): void;
  /** Removes a directory with all in it, on this mount. @throws AgentError `Contended` where others go on filling it */
  removeTree(directory: string): Promise<void>;
  /**
   * Removes what lies in a directory, but for `keep`; its descriptor is held all along, so nobody can swap the directory.
   * @param before is called with each file, link or directory that is about to go
   * @returns false if others fill it faster than it is emptied, after ten seconds
   */
  empty(
    directory: string,
    keep: ReadonlySet<string>,
    before?: (foreign: ForeignFile) => Promise<void>,
  ): Promise<boolean>;
}
