/** Relative paths of manifests → paths in the repository. Pure. */

/**
 * Path in the repository that a relative path names, or null if it leaves `root`. A source that starts with // was already
 * resolved in the layer that wrote it.
 */
export function resolveSource(manifest: string, source: string, root: string): string | null {
  if (source.startsWith('//')) return source.slice(2);
  const parts = manifest.split('/').slice(0, -1);
  for (const part of source.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  const path = parts.join('/');
  return !source.startsWith('/') && (path === root || path.startsWith(`${root}/`)) ? path : null;
}
