/** This host's part of a commit, read from an object store: its own directory, the roles and fleet.yaml. */
import fs from 'node:fs';
import type { Checkout, CommitInfo } from '../core/types.ts';
import { AgentError } from '../errors.ts';

export interface TreeInput {
  gitdir: string;
  /** Object id of the commit's root tree. Always a resolved id: an unresolvable one must never look empty. */
  tree: string;
  info: CommitInfo;
  hostPath: string;
}

/** Largest payload file (product contract, section 1, files). */
const MAX_BLOB = 64 * 1024 * 1024;

export async function readCheckout({ gitdir, tree, info, hostPath }: TreeInput): Promise<Checkout> {
  const git = await import('isomorphic-git');
  const cache = {};
  const files = new Map<string, Uint8Array>();
  const entries = async (oid: string) => (await git.readTree({ fs, gitdir, oid, cache })).tree;

  async function collect(oid: string, at: string): Promise<void> {
    for (const entry of await entries(oid)) {
      const name = `${at}/${entry.path}`;
      checkName(entry.path, name);
      if (entry.type === 'tree') await collect(entry.oid, name);
      else if (entry.type === 'commit')
        throw invalid(name, 'is a submodule, which fairlead does not read; put the files into the repository');
      else if (entry.mode === '120000')
        throw invalid(name, 'is a symbolic link in the repository; declare it as `link:` under `files` instead');
      else files.set(name, await readBlob(entry.oid, name));
    }
  }
  async function readBlob(oid: string, name: string): Promise<Uint8Array> {
    const { blob } = await git.readBlob({ fs, gitdir, oid, cache });
    if (blob.length > MAX_BLOB) throw invalid(name, `has ${blob.length} bytes; payload files may have 64 MiB at most`);
    return blob;
  }
  async function find(oid: string, parts: readonly string[]): Promise<string | null> {
    const [first, ...rest] = parts;
    if (first === undefined) return oid;
    const entry = (await entries(oid)).find((e) => e.path === first && e.type === 'tree');
    return entry ? find(entry.oid, rest) : null;
  }

  const host = await find(tree, hostPath.split('/').filter(Boolean));
  if (host !== null) await collect(host, hostPath);
  const roles = await find(tree, ['roles']);
  if (roles !== null) await collect(roles, 'roles');
  const fleet = (await entries(tree)).find((e) => e.path === 'fleet.yaml' && e.type === 'blob');
  if (fleet) files.set('fleet.yaml', await readBlob(fleet.oid, 'fleet.yaml'));
  return { info, hostPath, hostExists: host !== null, files };
}

/** git itself refuses these names, a hostile server does not. */
function checkName(name: string, where: string): void {
  if (
    name === '' ||
    name === '.' ||
    name === '..' ||
    name.includes('/') ||
    name.includes('\0') ||
    name.toLowerCase() === '.git'
  ) {
    throw invalid(where, 'is not a file name git allows; the repository is damaged or hostile');
  }
}

function invalid(file: string, why: string): AgentError {
  return new AgentError({ code: 'InvalidRepository', phase: 'load', message: `${file} ${why}` });
}
