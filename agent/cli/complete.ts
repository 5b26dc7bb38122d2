/** Completion: what may come next on a command line, read from the program's own commands. */
import type { Argument, Command, Option } from 'commander';

export interface Candidate {
  value: string;
  /** A description in a few words. */
  text: string;
}

/** The values of what a placeholder such as `<id>` stands for; `given` are the options on the line so far. */
export type Values = (placeholder: string, given: Readonly<Record<string, string>>) => Promise<Candidate[]>;

/** @param words after the program's name, the last of them as far as it is typed ('' for a new one) */
export async function complete(program: Command, words: readonly string[], values: Values): Promise<Candidate[]> {
  const partial = words.at(-1) ?? '';
  const at = walk(program, words.slice(0, -1));
  const fitting = (all: readonly Candidate[], word = partial) =>
    all.filter(({ value }) => value.startsWith(':') || value.startsWith(word));
  if (at.open) return fitting(await valuesOf(at.open, values, at.given));
  const [, flag, begun] = /^(--[^=]+)=(.*)$/s.exec(partial) ?? [];
  if (flag !== undefined) {
    const option = optionsOf(at.command).find((o) => o.long === flag);
    const all = option ? await valuesOf(option, values, at.given) : [];
    return fitting(all, begun).map((c) => (c.value.startsWith(':') ? c : { ...c, value: `${flag}=${c.value}` }));
  }
  if (partial.startsWith('-'))
    return fitting(
      optionsOf(at.command)
        .filter((o) => !o.hidden)
        .map(asCandidate),
    );
  const below = visible(at.command);
  if (below.length > 0) return fitting(below.map((c) => ({ value: c.name(), text: c.description() })));
  const args = at.command.registeredArguments;
  const argument = args[at.operands] ?? (args.at(-1)?.variadic ? args.at(-1) : undefined);
  return argument ? fitting(await valuesOf(argument, values, at.given)) : [];
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

/** Its own, then those of all above it. */
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

async function valuesOf(
  of: Option | Argument,
  values: Values,
  given: Readonly<Record<string, string>>,
): Promise<Candidate[]> {
  if (of.argChoices) return of.argChoices.map((value) => ({ value, text: '' }));
  return values('flags' in of ? (/[<[]([\w/]+)/.exec(of.flags)?.[1] ?? '') : of.name(), given);
}
