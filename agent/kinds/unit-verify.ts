/** All candidate units of a commit, verified together before any is installed. */
import type { Work } from '../core/provider.ts';
import type { UnitSpec } from '../core/specs.ts';
import type { ResourceId } from '../core/types.ts';
import { AgentError } from '../errors.ts';
import type { UnitFact, UnitProviderOptions } from './unit.ts';

/** Said of things that the same commit may deliver, or that other units are responsible for; not faults of the file. */
const EXCUSED = [
  /is not executable/,
  /not found/,
  /Failed to (create|load) .*\/start/,
  /No such file or directory/,
  /has no .*Exec(Start|Stop)/,
  /Unit configuration has fatal error/,
  /^Failed to prepare filename/,
  /Failed to connect to/,
  /world-writable|world-inaccessible|marked executable/,
];
const FATAL_ALWAYS = [/has no .*Exec(Start|Stop)/, /lacks .*Exec/, /Unit configuration has fatal error/];

/** systemd-analyze(1) verify over a staged SYSTEMD_UNIT_PATH; its warnings about these very files are errors. */
export async function verifyUnits(
  { files, exec, stagingDir }: UnitProviderOptions,
  work: readonly Work<UnitSpec, UnitFact>[],
): Promise<ReadonlyMap<ResourceId, AgentError>> {
  const candidates = work.filter((w) => w.want.spec.content !== undefined && w.change.op !== 'none');
  const failures = new Map<ResourceId, AgentError>();
  if (candidates.length === 0) return failures;
  const meta = { mode: 0o644, uid: 0, gid: 0 };
  for (const { want } of candidates)
    files.write(`${stagingDir}/${want.spec.name}`, new TextEncoder().encode(want.spec.content), meta);
  try {
    const staged = candidates.map((w) => `${stagingDir}/${w.want.spec.name}`);
    const result = await exec(
      [
        'env',
        `SYSTEMD_UNIT_PATH=${stagingDir}:`,
        'SYSTEMD_LOG_COLOR=0',
        'systemd-analyze',
        '--man=no',
        'verify',
        ...staged,
      ],
      { timeoutMs: 60_000 },
    );
    const lines = `${result.stderr}\n${result.stdout}`.split('\n').filter(Boolean);
    for (const { want } of candidates) {
      const said = lines
        .filter((line) => concerns(line, want.spec.name, stagingDir))
        .filter((line) => FATAL_ALWAYS.some((re) => re.test(line)) || !EXCUSED.some((re) => re.test(line)));
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
    for (const { want } of candidates) files.remove(`${stagingDir}/${want.spec.name}`);
    files.remove(stagingDir);
  }
}

const concerns = (line: string, name: string, dir: string): boolean =>
  line.startsWith(`${dir}/${name}:`) || line.startsWith(`${name}: `) || line.includes(` ${name}: `);
