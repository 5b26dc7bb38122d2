/** Encrypted files that are delivered as they are, because the repository says `decrypt: false`. Pure. */
import { matchesPath } from './glob.ts';

/**
 * @param said `false` for all, or patterns of paths with `false` each; whatever else is said there decrypts
 * @param dir where the patterns begin
 * @returns whether a file of the repository is kept encrypted
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

/** What is wrong with a `decrypt` of `x-fairlead`, or null. */
export function decryptProblem(said: unknown): string | null {
  const isMap = typeof said === 'object' && said !== null && !Array.isArray(said);
  if (isMap && Object.values(said).every((value) => /^(true|false)$/.test(String(value)))) return null;
  return 'must have patterns of paths with `false`, such as {"keys/**": false}';
}
