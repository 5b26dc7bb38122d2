/** A resolved entry of `jobs`. */
export interface JobSpec {
  name: string;
  run: readonly string[];
  when: 'change' | 'once' | 'always';
  unless?: readonly string[];
  cwd: string;
  env: Readonly<Record<string, string>>;
  /** Name or numeric id. */
  user: string;
  timeoutMs: number;
  /** Whether it runs on the way back to an earlier commit. */
  onRollback: 'skip' | 'run';
}
