/** Paths as text. Pure. */

/** Without `.`, `..`, doubled and trailing slashes, as Go's path.Clean has it. */
export function cleanPath(path: string): string {
  if (path === '') return path;
  const rooted = path.startsWith('/');
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..' && parts.length > 0 && parts.at(-1) !== '..') parts.pop();
    else if (part !== '..' || !rooted) parts.push(part);
  }
  const clean = `${rooted ? '/' : ''}${parts.join('/')}`;
  return clean === '' ? '.' : clean;
}

export const joinPath = (base: string, relative: string): string =>
  relative.startsWith('/') ? cleanPath(relative) : cleanPath(`${base}/${relative}`);

export const parentOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')));
export const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** The path is `root` or below it. '' is the root of the repository. */
export const isWithin = (path: string, root: string): boolean =>
  !path.startsWith('../') && path !== '..' && (root === '' || path === root || path.startsWith(`${root}/`));
