/** Completion: what may come next on a command line, read from the program's own commands. */
import type { Argument, Command, Option } from 'commander';

export interface Candidate {
  value: string;
  /** A description in a few words. */
  text: string;
}

/** Input for the values of a placeholder. */
export interface Asked {
  /** The options on the line so far. */
  given: Readonly<Record<string, string>>;
  /** The command whose argument it is; an option means the same for every command. */
  argumentOf: string | null;
}

/** The values for a placeholder such as `<id>`. */
export type Values = (placeholder: string, asked: Asked) => Promise<Candidate[]>;

/** @param words after the program's name, the last of them as far as it is typed ('' for a new one) */
export async function complete(program: Command, words: readonly string[], values: Values): Promise<Candidate[]> {
  const partial = words.at(-1) ?? '';
  const at = walk(program, words.slice(0, -1));
  if (at.open) return fittingValues(await valuesOf(at.open, values, at), partial);
  const [, flag, begun = ''] = /^(--[^=]+)=(.*)$/s.exec(partial) ?? [];
  if (flag !== undefined) {
    const option = optionsOf(at.command).find((o) => o.long === flag);
    const all = option ? await valuesOf(option, values, at) : [];
    return fittingValues(all, begun).map((c) => (c.value.startsWith(':') ? c : { ...c, value: `${flag}=${c.value}` }));
  }
  if (partial.startsWith('-'))
    return fitting(
      optionsOf(at.command)
        .filter((o) => !o.hidden)
        .map(asCandidate),
      partial,
    );
  const below = visible(at.command);
  if (below.length > 0)
    return fitting(
      below.map((c) => ({ value: c.name(), text: c.description() })),
      partial,
    );
  const args = at.command.registeredArguments;
  const argument = args[at.operands] ?? (args.at(-1)?.variadic ? args.at(-1) : undefined);
  return argument ? fittingValues(await valuesOf(argument, values, at), partial) : [];
}

const fitting = (all: readonly Candidate[], word: string): Candidate[] =>
  all.filter(({ value }) => value.startsWith(':') || value.startsWith(word));

/** Values that begin with the word; if there is none, those of which a part does, as `shop/` of `service:shop/web`. */
function fittingValues(all: readonly Candidate[], word: string): Candidate[] {
  const whole = fitting(all, word);
  if (whole.length > 0 || word === '') return whole;
  const parts = all.filter(({ value }) => value.includes(`:${word}`) || value.includes(`/${word}`));
  if (parts.length < 2 || sharedStart(parts.map(({ value }) => value)).includes(word)) return parts;
  // A shell puts what all candidates share in place of the word: it must not lose what was typed.
  return [{ value: word, text: `fits ${parts.length} of them` }, ...parts];
}

function sharedStart(all: readonly string[]): string {
  const [first = '', ...rest] = all;
  let length = first.length;
  for (const other of rest) while (!other.startsWith(first.slice(0, length))) length--;
  return first.slice(0, length);
}

interface Place {
  command: Command;
  /** The option whose value comes next. */
  open: Option | null;
  operands: number;
  given: Record<string, string>;
}

function walk(program: Command, words: readonly string[]): Place {
  const at: Place = { command: program, open: null, operands: 0, given: {} };
  for (const word of words) {
    if (at.open) {
      at.given[at.open.attributeName()] = word;
      // Of `--to a b`, b is another host.
      if (!at.open.variadic) at.open = null;
      if (!word.startsWith('-')) continue;
    }
    const option = optionsOf(at.command).find((o) => word === o.long || word === o.short);
    if (option) at.open = option.required || option.variadic ? option : null;
    else if (word.startsWith('-')) {
      const [, flag, value = ''] = /^(--[^=]+)=(.*)$/s.exec(word) ?? [];
      const named = optionsOf(at.command).find((o) => o.long === flag);
      if (named) at.given[named.attributeName()] = value;
    } else {
      const next = at.command.commands.find((c) => c.name() === word);
      if (next) at.command = next;
      else at.operands++;
    }
  }
  return at;
}

/** The command's own options, then those of all commands above it. */
const optionsOf = (command: Command): Option[] => {
  const own = command.createHelp().visibleOptions(command);
  const above = command.parent ? optionsOf(command.parent) : [];
  return [...own, ...above.filter((o) => !own.some((mine) => mine.long === o.long))];
};

const visible = (command: Command): Command[] => command.createHelp().visibleCommands(command);
const asCandidate = (option: Option): Candidate => ({
  value: option.long ?? option.short ?? '',
  text: option.description,
});

async function valuesOf(of: Option | Argument, values: Values, { given, command }: Place): Promise<Candidate[]> {
  if (of.argChoices) return of.argChoices.map((value) => ({ value, text: '' }));
  const isOption = 'flags' in of;
  const placeholder = isOption ? (/[<[]([\w/]+)/.exec(of.flags)?.[1] ?? '') : of.name();
  return values(placeholder, { given, argumentOf: isOption ? null : command.name() });
}
