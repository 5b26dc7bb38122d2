/** A real terminal: a program in tmux, its keys and its screen. */
import { randomBytes } from 'node:crypto';
import { ensurePrograms } from './packages.ts';
import { run, until } from './run.ts';

export interface Screen {
  /** Types text as it is. */
  type(text: string): Promise<void>;
  /** Presses keys by their tmux names: `Enter`, `Tab`, `C-c`. */
  press(...keys: string[]): Promise<void>;
  /** The content so far, including scrolled lines; with `colours` also escape sequences; `joined`: wrapped lines are joined. */
  text(options?: { colours?: boolean; joined?: boolean }): Promise<string>;
  /** Waits until the screen shows it. @returns the screen */
  shows(what: string | RegExp, timeoutMs?: number): Promise<string>;
  close(): Promise<void>;
}

export interface ScreenOptions {
  columns: number;
  rows?: number;
  argv: readonly string[];
  env?: Readonly<Record<string, string>>;
}

export async function openScreen({ columns, rows = 50, argv, env = {} }: ScreenOptions): Promise<Screen> {
  await ensurePrograms({ tmux: 'tmux' });
  // A server of its own: no other's sessions, no configuration.
  const server = `fairlead-${randomBytes(6).toString('hex')}`;
  const tmux = (...args: string[]) => run(['tmux', '-L', server, '-f', '/dev/null', ...args], { check: false });
  const given = Object.entries({ LANG: 'C.UTF-8', LC_ALL: 'C.UTF-8', ...env }).map(([k, v]) => `${k}=${v}`);
  const size = ['-x', String(columns), '-y', String(rows)];
  const made = await tmux('-u', 'new-session', '-d', ...size, '--', 'env', ...given, ...argv);
  if (made.code !== 0) throw new Error(`tmux: ${made.stderr}`);
  await tmux('set-option', '-g', 'remain-on-exit', 'on');
  const text = async ({ colours = false, joined = false } = {}) => {
    const how = [...(colours ? ['-e'] : []), ...(joined ? ['-J'] : [])];
    return (await tmux('capture-pane', '-p', '-S', '-', ...how)).stdout.trimEnd();
  };
  return {
    type: async (typed) => void (await tmux('send-keys', '-l', '--', typed)),
    press: async (...keys) => void (await tmux('send-keys', ...keys)),
    text,
    async shows(what, timeoutMs = 120_000) {
      let last = '';
      try {
        return await until(`the screen to show ${what}`, timeoutMs, async () => {
          last = await text();
          return (typeof what === 'string' ? last.includes(what) : what.test(last)) ? last : undefined;
        });
      } catch (thrown) {
        throw new Error(`${thrown instanceof Error ? thrown.message : thrown}; it shows:\n${last}`);
      }
    },
    close: async () => void (await tmux('kill-server')),
  };
}
