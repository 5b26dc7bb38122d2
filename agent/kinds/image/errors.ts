/** Why a pull failed, and what to do about it, in one sentence. Pure. */
import { registryOf } from '../../core/image-name.ts';
import { AgentError, asAgentError } from '../../errors.ts';
import type { Credential } from '../../system/registry-credentials.ts';

export interface FailedPull {
  image: string;
  thrown: unknown;
  /** As whom it was pulled; null for nobody in particular. */
  credential: Credential | null;
  /** Where a credential was looked for. */
  places: string;
}

export function explainPull({ image, thrown, credential, places }: FailedPull): AgentError {
  const known = asAgentError(thrown, { code: 'ImagePullFailed', phase: 'prepare' });
  if (known.code === 'EngineUnreachable') return known;
  const answer = known.message;
  const registry = registryOf(image);
  const failed = (code: string, rest: string) =>
    new AgentError({ code, phase: 'prepare', retry: true, message: `${answer}; ${rest}`, cause: thrown });
  if (/no space left on device|disk quota exceeded/i.test(answer))
    return failed(
      'DiskFull',
      "the engine's disk is full: see `docker system df`; `docker image prune` and `docker volume prune` free what nobody uses, or give /var/lib/docker more room",
    );
  if (/unauthorized|authentication required|basic auth|denied|forbidden|\b40[13]\b|incorrect username/i.test(answer))
    return failed(
      'ImagePullFailed',
      credential
        ? `the registry was asked as ${credential.source}; check that this user and password are right and may pull this image`
        : `${places}; if the image is there at all, name one, or use \`docker login\` as root`,
    );
  if (/HTTP response to HTTPS client/i.test(answer))
    return failed(
      'ImagePullFailed',
      `${registry} speaks plain http, which the engine takes only from \`insecure-registries\` of /etc/docker/daemon.json`,
    );
  if (/x509|certificate|tls:/i.test(answer))
    return failed(
      'ImagePullFailed',
      `the engine trusts a private CA whose certificate lies in /etc/docker/certs.d/${registry}/ca.crt`,
    );
  if (/no matching manifest|does not match the specified platform/i.test(answer))
    return failed(
      'ImagePullFailed',
      'the registry has it for other platforms only: push it for this one, or mend `platform`',
    );
  if (/manifest unknown|not found/i.test(answer))
    return failed('ImagePullFailed', 'the registry has no such image or tag: push it, or mend `image`');
  if (/context canceled|client connection is closing|unexpected EOF/i.test(answer))
    return failed('ImagePullFailed', 'the pull was broken off; was the engine restarted?');
  return failed('ImagePullFailed', `check that this host reaches ${registry}`);
}
