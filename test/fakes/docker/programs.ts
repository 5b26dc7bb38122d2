/** The behaviour of a command: the few words of a shell that tests use. */

export interface Program {
  /** Milliseconds until it ends by itself; absent if it keeps running. */
  endsAfterMs?: number;
  /** Exit code. */
  code: number;
  /** What it prints. */
  says: string;
}

const RUNS_ON: Program = { code: 0, says: '' };
/** Long enough to be seen running, as with a real one. */
const MOMENT_MS = 50;

/**
 * `sh -c 'echo word; sleep 5; exit 3'`, `true`, `false`, `sleep 5`, with or without busybox before it; anything else keeps
 * running.
 */
export function programOf(argv: readonly string[]): Program {
  const words = argv.filter((word, i) => i > 0 || !/busybox$/.test(word));
  const [first = '', second, third = ''] = words;
  const script = /(^|\/)(ba|da)?sh$/.test(first) && second === '-c' ? third : words.join(' ');
  return script
    .split(/;|&&/)
    .reduce<Program>((so, part) => follow(so, part.trim()), { ...RUNS_ON, endsAfterMs: MOMENT_MS });
}

function follow(so: Program, command: string): Program {
  // Commands after one that never ends are never reached.
  if (so.endsAfterMs === undefined || so.code !== 0) return so;
  const [name = '', ...args] = command.split(/\s+/);
  const word = name.slice(name.lastIndexOf('/') + 1);
  if (word === 'exit') return { ...so, code: Number(args[0] ?? 0) };
  if (word === 'false') return { ...so, code: 1 };
  if (word === 'echo') return { ...so, says: [so.says, args.join(' ')].filter(Boolean).join('\n') };
  if (word === 'sleep' && /^\d/.test(args[0] ?? ''))
    return { ...so, endsAfterMs: so.endsAfterMs + Number(args[0]) * 1_000 };
  if (['true', 'touch', 'wget', 'test', 'mkdir', ':'].includes(word)) return so;
  const { endsAfterMs: _, ...on } = so;
  return on;
}
