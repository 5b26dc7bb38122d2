/** The compose files that fairlead and `docker compose` must read equally: test/compose/cases/*.txt. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

export interface Case {
  /** File and title, unique. */
  name: string;
  /** Directory name, unique. */
  slug: string;
  /** Both must refuse it. */
  refused: boolean;
  /** Why fairlead refuses a file that docker compose accepts, or the reverse: the documented differences. */
  stricter: string;
  looser: string;
  /** Variables that the fleet sets. */
  vars: Record<string, string>;
  /** The stack's directory, below the case's own; mostly ''. */
  dir: string;
  /** Path in the case → content. */
  files: Record<string, string>;
}

/**
 * A file contains cases one after the other: `=== title`, perhaps `(refused)`, `(stricter: why)` or `(looser: why)`, then `vars:
 * A=1 B=2` and `dir: sub`, then the files, each after a `--- path` line; without one it is compose.yaml.
 */
export function parseCases(file: string, text: string): Case[] {
  return text
    .split(/^=== /m)
    .slice(1)
    .map((block, i) => {
      const [heading = '', ...lines] = block.split('\n');
      const title = heading.replace(/\s*\((refused|stricter:.*|looser:.*)\)\s*$/, '').trim();
      const vars: Record<string, string> = {};
      let dir = '';
      while (/^(vars|dir): /.test(lines[0] ?? '')) {
        const line = lines.shift() ?? '';
        if (line.startsWith('dir: ')) dir = line.slice(5).trim();
        else
          for (const pair of line.slice(6).split(' '))
            vars[pair.slice(0, pair.indexOf('='))] = pair.slice(pair.indexOf('=') + 1);
      }
      const files: Record<string, string> = {};
      let at = dir === '' ? 'compose.yaml' : `${dir}/compose.yaml`;
      for (const line of lines) {
        const header = /^--- (\S+)$/.exec(line);
        if (header?.[1]) at = header[1];
        else files[at] = `${files[at] ?? ''}${line}\n`;
      }
      for (const [key, content] of Object.entries(files)) files[key] = content.replace(/\n+$/, '\n');
      return {
        name: `${file}: ${title}`,
        slug: `${file}-${i}`,
        refused: /\(refused\)/.test(heading),
        stricter: /\(stricter: (.*)\)/.exec(heading)?.[1] ?? '',
        looser: /\(looser: (.*)\)/.exec(heading)?.[1] ?? '',
        vars,
        dir,
        files,
      };
    });
}

export function allCases(): Case[] {
  const dir = path.join(import.meta.dirname, 'cases');
  return readdirSync(dir)
    .sort()
    .flatMap((file) => parseCases(file.replace(/\.txt$/, ''), readFileSync(path.join(dir, file), 'utf8')));
}
