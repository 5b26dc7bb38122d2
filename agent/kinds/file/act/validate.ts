/** `validate:` of a file: a program checks the new content before it replaces the old file. */
import path from 'node:path';
import type { ReasonCode } from '../../../../manifests-schema/reasons.ts';
import { TRY_AGAIN } from '../../../core/exit-codes.ts';
import type { Desired } from '../../../core/types.ts';
import { AgentError } from '../../../errors.ts';
import type { Exec } from '../../../system/exec.ts';
import type { Files } from '../../../system/files/files.ts';
import type { FileSpec } from '../spec.ts';

export interface ValidateOptions {
  files: Files;
  exec: Exec;
  /** The path under which the program sees the host's `/`. */
  execRoot: string;
  /** Directory on the host that only root can read. */
  stagingDir: string;
}

const TIMEOUT_MS = 60_000;
const LINES = 6;
/** Exit code of a program that could not be started. */
const NOT_FOUND = 127;

function codeOf(exitCode: number): ReasonCode {
  if (exitCode === TRY_AGAIN) return 'TemporaryFailure';
  return exitCode === NOT_FOUND ? 'ValidatorMissing' : 'InvalidFile';
}

/**
 * Throws AgentError `InvalidFile`, `ValidatorMissing` if the program is not there (yet), `TemporaryFailure` if it cannot decide
 * now.
 * @param meta owner and mode of the new file
 */
export async function validateFile(
  { files, exec, execRoot, stagingDir }: ValidateOptions,
  want: Desired<FileSpec>,
  meta: { mode: number; uid: number; gid: number },
): Promise<void> {
  const { validate, path: file, content, secret } = want.spec;
  if (validate === undefined || content === undefined) return;
  const dir = `${stagingDir}/validate-${want.hash.slice(-16)}`;
  // The file's own name, because programs depend on the ending.
  const candidate = `${dir}/${path.basename(file)}`;
  try {
    await files.write(candidate, content, meta);
    const argv = validate.map((arg) => arg.replaceAll('%s', execRoot + candidate));
    const result = await exec(argv, { timeoutMs: TIMEOUT_MS, cleanEnv: true });
    if (result.code === 0) return;
    const said = `${result.stdout}\n${result.stderr}`.trim().split('\n').filter(Boolean).slice(-LINES);
    const why = secret
      ? 'what it said is not shown, since the content is secret'
      : said.join(' | ').replaceAll(execRoot + candidate, file) || `exit status ${result.code}`;
    throw new AgentError({
      code: codeOf(result.code),
      phase: 'prepare',
      resource: want.id,
      message: `${file} does not pass \`${validate.join(' ')}\`, so the old file stays: ${why}`,
    });
  } finally {
    files.remove(candidate);
    files.remove(dir);
  }
}
