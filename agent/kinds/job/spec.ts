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
  /** Whether a rollback to an earlier commit runs it. */
  onRollback: 'skip' | 'run';
}
