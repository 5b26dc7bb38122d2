/** Commands of a page of docs/, as tests run them: exactly the documented ones. */
import { readFileSync } from 'node:fs';
import path from 'node:path';

export interface Step {
  /** Its first comment: where a person would type it, such as `on the new machine`. */
  where: string;
  script: string;
}

/**
 * The ```sh blocks of a page, in order; the first line of each says where it is typed.
 * @param page below docs/, such as `recovery/broker.md`
 * @param instead replacements for names of the page in the lab
 */
export function stepsOf(page: string, instead: Readonly<Record<string, string>> = {}): Step[] {
  const text = readFileSync(path.join(import.meta.dirname, '../../docs', page), 'utf8');
  return [...text.matchAll(/^```sh\n# (.*)\n([\s\S]*?)^```$/gm)].map(([, where = '', body = '']) => ({
    where,
    script: Object.entries(instead).reduce((script, [name, here]) => script.replaceAll(name, here), body),
  }));
}
