/** `security_opt` of a service → what the engine takes: a seccomp profile's own text in place of its path. Pure. */

import { strictText } from '../../core/strict-text.ts';
import type { ComposeService } from '../load/types.ts';
import { isWithin, joinPath } from '../yaml/paths.ts';
import type { StackContext } from './resources.ts';

export interface SecurityOptions {
  options: string[];
  /** `systempaths=unconfined`: nothing of /proc is masked. */
  unmasked: boolean;
}

/** Profiles that the engine knows by name. */
const NAMED = ['unconfined', 'builtin'];

export function securityOptions(context: StackContext, name: string, service: ComposeService): SecurityOptions {
  const given = service.security_opt ?? [];
  const options = given
    .filter((option) => option !== 'systempaths=unconfined')
    .map((option, i) => {
      const profile = /^seccomp[=:](.*)$/s.exec(option)?.[1];
      if (profile === undefined || NAMED.includes(profile)) return option;
      return `seccomp=${readProfile(context, ['services', name, 'security_opt', i], profile)}`;
    });
  return { options, unmasked: given.includes('systempaths=unconfined') };
}

/** Relative to the stack, and as compact as `docker compose` sends it. */
function readProfile({ input, fail }: StackContext, at: readonly (string | number)[], given: string): string {
  const path = given.startsWith('/') ? given : joinPath(input.dir, given);
  const bytes = isWithin(path, input.dir) ? input.payload.get(path) : undefined;
  if (bytes === undefined) {
    fail(at, `the seccomp profile \`${given}\` is not a file of this stack; put it beside the compose file`);
    return '';
  }
  let text = '';
  try {
    text = strictText(bytes);
    JSON.parse(text);
  } catch (thrown) {
    fail(at, `the seccomp profile \`${given}\` is not JSON: ${thrown instanceof Error ? thrown.message : thrown}`);
  }
  return text.replaceAll(/("(?:[^"\\]|\\.)*")|\s+/g, (_, string?: string) => string ?? '');
}
