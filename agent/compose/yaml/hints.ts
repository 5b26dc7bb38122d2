/** The name that was probably meant. Pure. */
import { nearest } from '../../../manifests-schema/check.ts';

/** Looking through more names than this takes longer than reading them. */
const MOST = 300;

/** `; did you mean \`x\`?`, or nothing. */
export function didYouMean(word: string, candidates: readonly string[]): string {
  const near = candidates.length > MOST ? undefined : nearest(word, candidates);
  return near === undefined ? '' : `; did you mean \`${near}\`?`;
}

/** `a → b → a`; of a long one the beginning and the end. */
export const circle = (names: readonly string[]): string =>
  (names.length > 12 ? [...names.slice(0, 6), '…', ...names.slice(-5)] : names).join(' → ');
