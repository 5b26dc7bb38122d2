/** Why a pull failed, and what to do about it, in one sentence. Pure. */
import type { ReasonCode } from '../../../manifests-schema/reasons.ts';
import { registryOf } from '../../core/image-name.ts';
import { AgentError, asAgentError } from '../../errors.ts';
import type { Credential } from '../../system/docker/registry-credentials.ts';

export interface FailedPull {
  image: string;
  thrown: unknown;
  /** As whom it was pulled; null for nobody in particular. */
  credential: Credential | null;
  /** Where a credential was looked for. */
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

/** What engine and registry say, in the order in which it is looked for: they give no code. */
const SAID: readonly [RegExp, Cause][] = [
  [/invalid reference format|invalid repository name/i, 'no name'],
  [/no space left on device|disk quota exceeded/i, 'full'],
  [/unauthorized|authentication required|basic auth|denied|forbidden|\b40[13]\b|incorrect username/i, 'refused'],
  [/HTTP response to HTTPS client/i, 'plain http'],
  // Of Go's crypto/x509, which names this host's date.
  [/x509: certificate has expired or is not yet valid: current time \S+ is before/, 'early'],
  [/x509: certificate has expired/, 'late'],
  [/x509|certificate|tls:/i, 'untrusted'],
  [/no matching manifest|does not match the specified platform/i, 'platform'],
  [/manifest unknown|not found/i, 'absent'],
  [/context canceled|client connection is closing|unexpected EOF/i, 'broken off'],
];

/** Of the causes that are not the pull's own. */
const CODES: Partial<Record<Cause, ReasonCode>> = { full: 'DiskFull', early: 'ClockWrong', 'no name': 'InvalidImage' };

/** The name of the image says nothing: one may be called `denied/app`. */
function causeOf(said: string, image: string): Cause | null {
  const name = image.replace(/[:@][^/]*$/, '');
  const path = `/${name.slice(name.indexOf('/') + 1)}`;
  const names = (word: string) => [`${path}/`, `${path}:`, `${path}@`].some((part) => `/${word}/`.includes(part));
  const words = said.replace(/[\w./:@-]+/g, (word) => (names(word) ? '' : word));
  return SAID.find(([says]) => says.test(words))?.[1] ?? null;
}

/** Registries say it in the message that the engine hands on, if at all: `retry-after: 30s`. @returns ms; 0 if it is not said */
export function retryAfterOf(said: string): number {
  const [, seconds = '0'] = /retry[- ]after:?\s*(\d{1,5})(?:\.\d+)?\s*(?:s|sec|seconds)?(?![\w.µ])/i.exec(said) ?? [];
  return Number(seconds) * 1_000;
}

/** Why a pull failed, with what to do about it. */
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
