/** A repository on this machine, read in place. */
import fs from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { AgentError } from '../../errors.ts';
import {
  DamagedObject,
  isObjectType,
  MissingObject,
  type Objects,
  type ObjectType,
  unpooled,
  verified,
} from '../pack/objects.ts';
import { MAX_MADE } from '../wire/budget.ts';
import type { Ref } from '../wire/protocol.ts';
import { unreachable } from '../wire/remote.ts';
import { isLoose, readLoose } from './loose.ts';

export interface LocalRepository {
  /** Refs that begin with one of `prefixes`, packed ones included. */
  refs(prefixes: readonly string[]): Promise<readonly Ref[]>;
  /** A view for one run: packs that it read are dropped with it. Throws AgentError `RepositoryUnreachable`. */
  objects(): Promise<Objects>;
}

/** @param url a path, or file:// and a path */
export function openLocal(url: string): LocalRepository {
  const root = url.replace(/^file:\/\//, '');
  const gitdir = () => {
    const inside = path.join(root, '.git');
    return fs.existsSync(inside) ? inside : root;
  };

  async function check(): Promise<string> {
    const dir = gitdir();
    if (!fs.existsSync(path.join(dir, 'HEAD'))) throw unreachable(url, 'there is no git repository', { reach: 'here' });
    const config = await readFile(path.join(dir, 'config'), 'utf8').catch(() => '');
    if (/^\s*objectformat\s*=\s*sha256/im.test(config))
      throw new AgentError({
        code: 'UnsupportedRepository',
        phase: 'fetch',
        message: `${url} names its objects by SHA-256, which fairlead cannot read; use a repository with SHA-1 object ids`,
      });
    return dir;
  }

  return {
    async refs(prefixes) {
      const git = await import('isomorphic-git');
      const dir = await check();
      const objects = createReader(dir);
      const found: Ref[] = [];
      const add = async (name: string, target?: string) => {
        const oid = await git.resolveRef({ fs, gitdir: dir, ref: name }).catch(() => null);
        if (oid === null) return;
        const peeled = await peel(objects, oid);
        found.push({ name, oid, ...(peeled === oid ? {} : { peeled }), ...(target ? { target } : {}) });
      };
      if (prefixes.includes('HEAD')) {
        const head = (await readFile(path.join(dir, 'HEAD'), 'utf8')).trim();
        await add('HEAD', head.startsWith('ref: ') ? head.slice('ref: '.length) : undefined);
      }
      for (const [kind, below] of [
        ['heads', await git.listBranches({ fs, gitdir: dir })],
        ['tags', await git.listTags({ fs, gitdir: dir })],
      ] as const)
        for (const name of below.map((n) => `refs/${kind}/${n}`))
          if (prefixes.some((p) => name.startsWith(p))) await add(name);
      for (const ref of prefixes.filter((p) => p.startsWith('refs/') && !/^refs\/(heads|tags)\//.test(p)))
        await add(ref);
      return found;
    },
    objects: async () => createReader(await check()),
  };
}

function createReader(gitdir: string): Objects {
  const cache = {};
  // One that is not in a pack is read here, since a large one takes several times its size in the library.
  const find = async (oid: string): Promise<{ type: string; bytes: Uint8Array } | null> => {
    const loose = await readLoose(gitdir, oid, MAX_MADE);
    if (loose !== null) return loose;
    const git = await import('isomorphic-git');
    const found = await git.readObject({ fs, gitdir, oid, format: 'content', cache }).catch(() => null);
    return found && { type: found.type, bytes: unpooled(found.object as Uint8Array) };
  };
  const has = async (oid: string) => isLoose(gitdir, oid) || (await find(oid)) !== null;
  return {
    has,
    async lacking(oids) {
      const absent: string[] = [];
      for (const oid of oids) if (!(await has(oid))) absent.push(oid);
      return absent;
    },
    async read(oid: string, type: ObjectType) {
      const found = await find(oid);
      if (found === null) throw new MissingObject(oid);
      if (!isObjectType(found.type)) throw new DamagedObject(`${oid} is of no known type`);
      return verified(oid, type, { type: found.type, bytes: found.bytes });
    },
  };
}

/** The object at the end of a chain of annotated tags. */
async function peel(objects: Objects, oid: string): Promise<string> {
  let at = oid;
  for (let hops = 0; hops < 5; hops++) {
    const bytes = await objects.read(at, 'tag').catch(() => null);
    const target = bytes && /^object ([0-9a-f]{40})$/m.exec(Buffer.from(bytes).toString('latin1'))?.[1];
    if (!target) return at;
    at = target;
  }
  return at;
}
