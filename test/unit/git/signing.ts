/** Signing keys of people, and a work tree in which they commit and tag. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Fixture, git } from './backend.ts';

export interface Signers {
  /** The file of allowed signers: `ann` is one, `eve` is not. */
  allowedSigners: string;
  /** Options of git that sign with the key of `name`. */
  by(name: string): string[];
  /** Public half, as one line. */
  key(name: string): string;
}

/** @param names of the keys to generate; only `ann` is an allowed signer */
export function createSigners(root: string, names = ['ann', 'eve']): Signers {
  const file = (name: string) => path.join(root, name);
  const key = (name: string) => readFileSync(file(`${name}.pub`), 'utf8').trim();
  for (const name of names) execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', file(name)]);
  const allowedSigners = file('allowed_signers');
  writeFileSync(allowedSigners, `ann@example.com namespaces="git" ${key('ann')}\n`);
  return {
    allowedSigners,
    key,
    by: (name) => ['-c', 'gpg.format=ssh', '-c', `user.signingkey=${file(name)}`],
  };
}

export interface Author {
  /** Commits one file of edge-1 on the current branch. @param by the signer; null for an unsigned commit */
  commit(text: string, by?: string | null): string;
  /** A signed annotated tag. @param at date of the tagger, ISO 8601 @returns the id of the tag object */
  tag(name: string, target?: string, at?: string, by?: string): string;
  git(...args: string[]): string;
}

/** Writes to `fixture` as people who sign do. @param file that `commit` writes */
export function createAuthor(fixture: Fixture, signers: Signers, file = 'hosts/edge-1/f'): Author {
  const run = (...args: string[]) => git(fixture.work, ...args);
  return {
    git: run,
    commit(text, by = 'ann') {
      const at = path.join(fixture.work, file);
      mkdirSync(path.dirname(at), { recursive: true });
      writeFileSync(at, `${text}\n`);
      run('add', '-A');
      run(...(by === null ? [] : signers.by(by)), 'commit', '-q', '-m', text, ...(by === null ? [] : ['-S']));
      return run('rev-parse', 'HEAD');
    },
    tag(name, target = 'HEAD', at = '2026-01-01T00:00:00Z', by = 'ann') {
      execFileSync('git', [...signers.by(by), 'tag', '-f', '-s', '-m', name, name, target], {
        cwd: fixture.work,
        stdio: 'pipe',
        env: { ...process.env, GIT_COMMITTER_DATE: at, GIT_COMMITTER_NAME: 'Ann', GIT_COMMITTER_EMAIL: 'a@x' },
      });
      return run('rev-parse', `refs/tags/${name}`);
    },
  };
}
