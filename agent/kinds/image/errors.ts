/** Why a pull failed, and what to do about it, in one sentence. Pure. */
import type { ReasonCode } from '../../../manifests-schema/reasons.ts';
import { registryOf } from '../../core/names/image-name.ts';
import { AgentError, asAgentError } from '../../errors.ts';
import type { Credential } from '../../system/docker/registry-credentials.ts';

export interface FailedPull {
  image: string;
  thrown: unknown;
  /** The credential that was used; null if there was none. */
  credential: Credential | null;
  /** Where credentials were looked up. */
  places: string;
}

type Cause =
  | 'no name'
  | 'full'
  | 'refused'
  | 'plain http'
  | 'early'
  | 'late'
  | 'untrusted'
  | 'platform'
  | 'absent'
  | 'broken off';

/** Messages of Docker engine and registry, in order of precedence: they have no codes. */
const SAID: readonly [RegExp, Cause][] = [
  [/invalid reference format|invalid repository name/i, 'no name'],
  [/no space left on device|disk quota exceeded/i, 'full'],
  [/unauthorized|authentication required|basic auth|denied|forbidden|\b40[13]\b|incorrect username/i, 'refused'],
  [/HTTP response to HTTPS client/i, 'plain http'],
  // From Go's crypto/x509, which quotes this host's date.
  [/x509: certificate has expired or is not yet valid: current time \S+ is before/, 'early'],
  [/x509: certificate has expired/, 'late'],
  [/x509|certificate|tls:/i, 'untrusted'],
  [/no matching manifest|does not match the specified platform/i, 'platform'],
  [/manifest unknown|not found/i, 'absent'],
  [/context canceled|client connection is closing|unexpected EOF/i, 'broken off'],
];

/** Codes of causes that are not specific to pulls. */
const CODES: Partial<Record<Cause, ReasonCode>> = { full: 'DiskFull', early: 'ClockWrong', 'no name': 'InvalidImage' };

/** The image's name is removed first: one may be called `denied/app`. */
function causeOf(said: string, image: string): Cause | null {
  const name = image.replace(/[:@][^/]*$/, '');
  const path = `/${name.slice(name.indexOf('/') + 1)}`;
  const names = (word: string) => [`${path}/`, `${path}:`, `${path}@`].some((part) => `/${word}/`.includes(part));
  const words = said.replace(/[\w./:@-]+/g, (word) => (names(word) ? '' : word));
  return SAID.find(([says]) => says.test(words))?.[1] ?? null;
}

/** The delay in a registry's message, which Docker passes on: `retry-after: 30s`. @returns ms; 0 if there is none */
export function retryAfterOf(said: string): number {
  const [, seconds = '0'] = /retry[- ]after:?\s*(\d{1,5})(?:\.\d+)?\s*(?:s|sec|seconds)?(?![\w.µ])/i.exec(said) ?? [];
  return Number(seconds) * 1_000;
}

/** Explains why a pull failed, and what to do about it. */
export function explainPull({ image, thrown, credential, places }: FailedPull): AgentError {
  const known = asAgentError(thrown, { code: 'ImagePullFailed', phase: 'prepare' });
  if (known.code === 'EngineUnreachable') return known;
  if (known.code === 'RateLimited')
    return new AgentError({
      code: 'RateLimited',
      phase: 'prepare',
      message: known.message,
      retryAfterMs: retryAfterOf(known.message),
      cause: thrown,
    });
  const registry = registryOf(image);
  const advice: Record<Cause, string> = {
    'no name': `\`${image}\` is no image name; write it as registry/path:tag, in lower case but for the tag`,
    full: "the engine's disk is full: see `docker system df`; `docker image prune` and `docker volume prune` free what nobody uses, or give /var/lib/docker more room",
    refused: credential
      ? `the registry was asked as ${credential.source}; check that this user and password are right and may pull this image`
      : `${places}; if the image is there at all, name one, or use \`docker login\` as root`,
    'plain http': `${registry} speaks plain http, which the engine takes only from \`insecure-registries\` of /etc/docker/daemon.json`,
    early:
      "this host's clock is behind, or the certificate is not valid yet; set the clock: `timedatectl set-ntp true`",
    late: "the registry's certificate has expired, or this host's clock is ahead: compare `date`",
    untrusted: `the engine trusts a private CA whose certificate lies in /etc/docker/certs.d/${registry}/ca.crt`,
    platform: 'the registry has it for other platforms only: push it for this one, or change `platform`',
    absent: 'the registry has no such image or tag: push it, or change `image`',
    'broken off': 'the pull was broken off; was the engine restarted?',
  };
  const cause = causeOf(known.message, image);
  return new AgentError({
    code: (cause && CODES[cause]) ?? 'ImagePullFailed',
    phase: 'prepare',
    message: `${known.message}; ${cause === null ? `check that this host reaches ${registry}` : advice[cause]}`,
    cause: thrown,
  });
}

/** Explains why a pulled image is not on disk. @param thrown of `syncEngineData`, or an error that is explained already */
export function explainUnsynced(thrown: unknown): AgentError {
  if (thrown instanceof AgentError) return thrown;
  const said = thrown instanceof Error ? thrown.message : String(thrown);
  return new AgentError({
    code: /no space left|quota exceeded/i.test(said) ? 'DiskFull' : 'ImagePullFailed',
    phase: 'prepare',
    message: `cannot write the pulled image to disk: ${said}; check the disk of the Docker engine: \`dmesg\``,
    cause: thrown,
  });
}
