/** Who has to act on a problem, in the words of the command line and of the dashboard. Pure. */
import type { Fault } from '../../../manifests-schema/reasons.ts';

const TEXTS: Readonly<Record<Fault, string>> = {
  wait: 'passes by itself',
  host: 'somebody has to fix this host',
  commit: 'another commit fixes it',
};

/** @param turn may be a word of another version; then the text is empty */
export const turnText = (turn: string): string => (Object.hasOwn(TEXTS, turn) ? TEXTS[turn as Fault] : '');
