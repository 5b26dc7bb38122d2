/** SOPS metadata in files that consist of lines (dotenv, ini), and the lines of an ini file. Pure. */

export interface FlatMetadata {
  add(key: string, value: string): void;
  /** The metadata as a document; undefined if there were none. */
  metadata(): Record<string, unknown> | undefined;
}

/** `age__list_0__map_enc`: lists and mappings are written into the key. */
export function createFlat(): FlatMetadata {
  const flat: Record<string, string> = {};
  const age: Record<string, string>[] = [];
  return {
    add(key, value) {
      const list = /^age__list_(\d{1,4})__map_(recipient|enc)$/.exec(key);
      if (list === null) flat[key] = value;
      else age[Number(list[1])] = { ...age[Number(list[1])], [list[2] ?? '']: value };
    },
    metadata: () => (Object.keys(flat).length === 0 ? undefined : { ...flat, age: age.filter(Boolean) }),
  };
}

export interface IniLine {
  section: string;
  /** null: the section begins here; '': the line has no key. */
  key: string | null;
  value: string;
  /** From 1. */
  line: number;
}

/** Blank lines and comments left out. Values lose the quotes that the library of SOPS (gopkg.in/ini.v1) puts around some. */
export function* iniLines(text: string): Generator<IniLine> {
  let section = 'DEFAULT';
  const lines = text.split(/\r?\n/);
  for (let i = 0; i < lines.length; i++) {
    const given = (lines[i] ?? '').trim();
    const line = i + 1;
    if (given === '' || /^[#;]/.test(given)) continue;
    const name = /^\[(.+)\]$/.exec(given)?.[1];
    if (name !== undefined) {
      section = name;
      yield { section, key: null, value: '', line };
      continue;
    }
    const at = given.search(/[=:]/);
    const key = at < 0 ? '' : given.slice(0, at).trim();
    let value = given.slice(at + 1).trim();
    const quote = /^("""|`|")/.exec(value)?.[0];
    // A value in three quotes may go on over many lines.
    if (quote === '"""' && !(value.length >= 6 && value.endsWith(quote))) {
      const more = [value];
      while (i + 1 < lines.length && !(more.length > 1 && more.at(-1)?.endsWith(quote))) more.push(lines[++i] ?? '');
      value = more.join('\n');
    }
    if (quote !== undefined && value.length >= 2 * quote.length && value.endsWith(quote))
      value = value.slice(quote.length, -quote.length);
    yield { section, key, value, line };
  }
}
