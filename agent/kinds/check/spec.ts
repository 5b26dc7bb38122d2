/** A resolved entry of `checks`. */
export interface CheckSpec {
  name: string;
  probe:
    | { type: 'http'; url: string /** null: any 2xx. */; expect: number | null }
    | { type: 'tcp'; host: string; port: number }
    | { type: 'run'; argv: readonly string[]; expect: number };
  /** Time limit for passing after an apply. */
  withinMs: number;
  everyMs: number;
}
