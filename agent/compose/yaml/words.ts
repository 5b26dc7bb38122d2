/** A command written as one text, split as Compose splits it. Pure. */

export interface Words {
  words: string[];
  /** Offset of a shell operator such as `&&` that ended the command: Compose runs no shell. In characters. */
  cutAt: number | null;
}

/** null if a quote or bracket is not closed, or a bracket opens that Compose does not read. */
export function splitWords(text: string): Words | null {
  const words: string[] = [];
  let word = '';
  let inWord = false;
  let escaped = false;
  let open: '' | '"' | "'" | '`' | '(' = '';
  const chars = [...text];
  let cutAt: number | null = null;
  for (const [i, char] of chars.entries()) {
    if (escaped) {
      word += char;
      escaped = false;
      inWord = true;
      continue;
    }
    if (char === '\\') {
      if (open === "'") word += char;
      else escaped = true;
      continue;
    }
    if (/[ \t\r\n]/.test(char)) {
      if (open !== '') word += char;
      else if (inWord) {
        words.push(word);
        word = '';
        inWord = false;
      }
      continue;
    }
    if ((char === '"' || char === "'") && (open === '' || open === char || open === '`')) {
      // In backquotes a quote is dropped, and opens nothing that matters.
      if (open === char) inWord = true;
      open = open === char ? '' : open === '`' ? '`' : char;
      continue;
    }
    if (char === '`' && (open === '' || open === '`')) open = open === '' ? '`' : '';
    else if (char === ')' && (open === '' || open === '(')) open = open === '' ? '(' : '';
    else if (char === '(' && (open === '' || open === '(')) {
      if (open !== '' || !word.endsWith('$')) return null;
      open = '(';
      word += '(';
      continue;
    } else if (open === '' && ';&|<>'.includes(char)) {
      if (char === '>' && /^\d/.test(word)) inWord = false;
      cutAt = i;
      break;
    }
    inWord = true;
    word += char;
  }
  if (inWord) words.push(word);
  return escaped || open !== '' ? null : { words, cutAt };
}
