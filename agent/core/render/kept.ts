/** Encrypted files that are delivered encrypted, because the repository says `decrypt: false`. Pure. */
import { matchesPath } from '../names/glob.ts';

/**
 * @param said `false` for all files, or a map of path patterns to `false`; any other value means decrypt
 * @param dir the patterns are relative to this directory
 * @returns whether a file of the repository stays encrypted
 */
export function keptBy(said: unknown, dir: string): (file: string) => boolean {
  if (String(said) === 'false') return () => true;
  if (typeof said !== 'object' || said === null) return () => false;
  const patterns = Object.entries(said).flatMap(([pattern, decrypt]) => (String(decrypt) === 'false' ? [pattern] : []));
  return (file) => {
    const path = file.startsWith(`${dir}/`) ? file.slice(dir.length + 1) : null;
    return path !== null && patterns.some((pattern) => matchesPath(pattern.replace(/^\.\//, ''), path));
  };
}

/** Why a `decrypt` of `x-fairlead` is invalid, or null. */
export function decryptProblem(said: unknown): string | null {
  const isMap = typeof said === 'object' && said !== null && !Array.isArray(said);
  if (isMap && Object.values(said).every((value) => /^(true|false)$/.test(String(value)))) return null;
  return 'must have patterns of paths with `false`, such as {"keys/**": false}';
}
