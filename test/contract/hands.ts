import type { Provider } from '../../agent/core/provider.ts';
import type { Kind } from '../../agent/core/types.ts';

/** A host, its providers, and manual changes and observations with the host's own tools. */
export interface Hands {
  providers: ReadonlyMap<Kind, Provider>;
  /** @returns whether it succeeded */
  run(...argv: string[]): Promise<boolean>;
  /** The same, which must succeed. */
  act(...argv: string[]): Promise<unknown>;
  write(path: string, text: string, mode?: string): Promise<unknown>;
  append(path: string, text: string): Promise<unknown>;
  until(what: string, limitMs: number, condition: () => Promise<boolean>): Promise<unknown>;
}
