/** `fairlead notify`: publishes a push that CI or a git hook knows of. */

import { type Context, EXIT, type NotifyRequest } from '../context.ts';
import { type BrokerFlags, brokerComplaint, brokerRequest } from './broker-flags.ts';

/** @param env where GitHub Actions and GitLab CI say what was pushed */
export async function notify(
  c: Context,
  ref: string | undefined,
  commit: string | undefined,
  flags: BrokerFlags,
  env: Record<string, string | undefined>,
): Promise<number> {
  const pushed = commit ?? env.GITHUB_SHA ?? env.CI_COMMIT_SHA;
  if (pushed === undefined || !/^[0-9a-f]{40}$/.test(pushed)) {
    c.complain(`name the full id of the commit: \`fairlead notify ${ref ?? 'main'} "$(git rev-parse HEAD)"\``);
    return EXIT.usage;
  }
  // A post-receive hook also runs for deleted refs, which have no commit.
  if (/^0+$/.test(pushed)) {
    c.print({ schema: 1, commit: null, topic: null }, () => 'The ref was deleted; nobody was notified.');
    return EXIT.ok;
  }
  const named = ref ?? env.GITHUB_REF_NAME ?? env.CI_COMMIT_REF_NAME;
  const complaint = brokerComplaint(flags);
  if (complaint !== null) {
    c.complain(complaint);
    return EXIT.usage;
  }
  const request: NotifyRequest = { commit: pushed, ...(named ? { ref: named } : {}), ...brokerRequest(flags) };
  const told = await c.deps.notify(c.options, request);
  c.print({ schema: 1, commit: pushed, topic: told.topic }, () => `Notified the hosts on ${told.ref}: ${pushed}`);
  return EXIT.ok;
}
