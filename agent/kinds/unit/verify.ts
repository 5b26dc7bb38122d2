/** Verifies all new units of a commit together, before any is installed. */
import type { Work } from '../../core/provider.ts';
import type { ResourceId } from '../../core/types.ts';
import { AgentError } from '../../errors.ts';
import type { UnitFact } from './diff.ts';
import type { UnitProviderOptions } from './provider.ts';
import type { UnitSpec } from './spec.ts';

type UnitWork = Work<UnitSpec, UnitFact>;

/** Messages that are no faults of the file. */
const EXCUSED = [
  /Unit configuration has fatal error/,
  /^Failed to prepare filename/,
  /Failed to connect to/,
  /world-writable|world-inaccessible|marked executable/,
];
const FATAL_ALWAYS = [/has no .*Exec(Start|Stop)/, /lacks .*Exec/, /Unit configuration has fatal error/];
/** Messages about something missing, which the same commit may deliver. */
const NOT_EXECUTABLE = /Command (\S+) is not executable/;
const NO_UNIT = /Unit (\S+) not found/;
/** Exit code of a program that could not be started; those above are signals. */
const NOT_STARTED = 127;
const PROGRAMS = ['/usr/bin/systemd-analyze', '/bin/systemd-analyze'];
const FOREIGN_DIRS = [
  '/run/systemd/system',
  '/usr/local/lib/systemd/system',
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
];

/**
 * Runs systemd-analyze(1) verify over a staged SYSTEMD_UNIT_PATH; its warnings about these very files are errors.
 * @param declared all resources of this commit: files and units that they deliver may be missing now
 */
export async function verifyUnits(
  { files, exec, stagingDir }: UnitProviderOptions,
  work: readonly UnitWork[],
  declared: ReadonlySet<ResourceId>,
): Promise<ReadonlyMap<ResourceId, AgentError>> {
  const failures = new Map<ResourceId, AgentError>();
  const candidates = work.filter(
    ({ want: { spec }, change, seen }) =>
      change.op !== 'none' &&
      (spec.content !== undefined || spec.dropins !== undefined) &&
      // Unchanged files were verified when they were installed, so a stopped unit is started without delay.
      (seen === undefined || change.why.some((r) => /^(content|dropins\.)/.test(r.field))),
  );
  const staged: string[] = [];
  const targets: string[] = [];
  const writing: Promise<unknown>[] = [];
  const stage = (file: string, text: string) => {
    const path = `${stagingDir}/${file}`;
    staged.push(path);
    writing.push(files.write(path, new TextEncoder().encode(text), { mode: 0o644, uid: 0, gid: 0 }));
  };
  try {
    if (candidates.length > 0 && files.stat(stagingDir) === undefined)
      await files.mkdir(stagingDir, { mode: 0o700, uid: 0, gid: 0 });
    for (const { name, content, dropins } of candidates.map((w) => w.want.spec)) {
      if (content !== undefined) stage(name, content);
      for (const [file, text] of Object.entries(dropins ?? {})) stage(`${name}.d/${file}`, text);
      // Drop-ins of a unit that does not exist (yet) cannot be verified.
      const target =
        content !== undefined
          ? `${stagingDir}/${name}`
          : ['/etc/systemd/system', ...FOREIGN_DIRS]
              .map((dir) => `${dir}/${name}`)
              .find((path) => files.stat(path)?.type === 'file');
      if (target) targets.push(target);
    }
    await Promise.all(writing);
    if (targets.length === 0) return failures;
    const environment = [`SYSTEMD_UNIT_PATH=${stagingDir}:`, 'SYSTEMD_LOG_COLOR=0'];
    const argv = ['env', ...environment, 'systemd-analyze', '--man=no', 'verify', ...targets];
    const result = await exec(argv, { timeoutMs: 60_000 });
    if (isUnfinished(result.code, files)) {
      const how = result.stderr.trim().split('\n').at(-1) ?? '';
      for (const { want } of candidates) failures.set(want.id, unverified(want, result.code, how));
      return failures;
    }
    const lines = `${result.stderr}\n${result.stdout}`.split('\n').filter(Boolean);
    for (const { want } of candidates) {
      const said = lines
        .filter((line) => concerns(line, want.spec.name, stagingDir))
        .filter((line) => FATAL_ALWAYS.some((re) => re.test(line)) || !isExcused(line, want.after, declared));
      if (said.length === 0) continue;
      const why = said.map((line) => line.replaceAll(`${stagingDir}/`, '')).join('; ');
      failures.set(
        want.id,
        new AgentError({
          code: 'InvalidUnit',
          phase: 'prepare',
          resource: want.id,
          message: `${want.spec.name} does not pass systemd-analyze verify: ${why}`,
        }),
      );
    }
    return failures;
  } finally {
    await Promise.allSettled(writing);
    for (const file of staged) files.remove(file);
    for (const { want } of candidates) files.remove(`${stagingDir}/${want.spec.name}.d`);
    files.remove(stagingDir);
  }
}

/**
 * Whether systemd-analyze gave no verdict, because it could not be started or was killed (time limit, memory): its own exit codes
 * are smaller. A host that has no systemd-analyze has none to give.
 */
const isUnfinished = (code: number, files: UnitProviderOptions['files']): boolean =>
  code > NOT_STARTED || (code === NOT_STARTED && PROGRAMS.some((file) => files.stat(file) !== undefined));

const unverified = ({ id, spec }: UnitWork['want'], code: number, how: string): AgentError =>
  new AgentError({
    code: 'InstallFailed',
    phase: 'prepare',
    resource: id,
    message: `cannot verify ${spec.name}: systemd-analyze verify ended with ${code}${how ? `: ${how}` : ''}; it is tried again`,
  });

const concerns = (line: string, name: string, dir: string): boolean =>
  line.startsWith(`${dir}/${name}:`) ||
  line.startsWith(`${dir}/${name}.d/`) ||
  line.startsWith(`${name}: `) ||
  line.includes(` ${name}: `);

function isExcused(line: string, after: readonly ResourceId[], declared: ReadonlySet<ResourceId>): boolean {
  const missing = NOT_EXECUTABLE.exec(line)?.[1];
  const unit = NO_UNIT.exec(line)?.[1];
  if (missing === undefined && unit === undefined) return EXCUSED.some((re) => re.test(line));
  // A job that the unit waits for may create anything.
  if (after.some((id) => id.startsWith('job:'))) return true;
  return declared.has(missing === undefined ? `unit:${unit?.replace(/[.,]$/, '')}` : `file:${missing}`);
}
