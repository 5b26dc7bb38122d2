/** `fairlead notify`: publishes a push that CI or a git hook knows of. */
import { isReadable } from '../../manifests-schema/plain-credentials.ts';
import { type Context, EXIT, type NotifyRequest } from './context.ts';

export interface NotifyFlags {
  broker?: string;
  username?: string;
  passwordFile?: string;
  ca?: string;
  prefix?: string;
  fleet?: string;
  insecure?: boolean;
}

/** @param env where GitHub Actions and GitLab CI say what was pushed */
export async function notify(
  c: Context,
  ref: string | undefined,
  commit: string | undefined,
  flags: NotifyFlags,
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
  const { broker, username, passwordFile, ca, prefix, fleet } = flags;
  if (broker && !/^mqtts?:\/\//.test(broker)) {
    c.complain(`--broker must begin with mqtt:// or mqtts://, got ${broker}`);
    return EXIT.usage;
  }
  if (broker && passwordFile && !flags.insecure && isReadable(broker)) {
    c.complain(
      `${broker} would get the password without encryption, so that everybody on the way can read it; use mqtts://, or say --insecure if the way is yours alone`,
    );
    return EXIT.usage;
  }
  const request: NotifyRequest = {
    commit: pushed,
    ...(named ? { ref: named } : {}),
    ...(broker
      ? {
          broker: {
            url: broker,
            ...(username ? { username } : {}),
            ...(passwordFile ? { passwordFile } : {}),
            ...(ca ? { ca } : {}),
          },
        }
      : {}),
    ...(prefix ? { prefix } : {}),
    ...(fleet ? { fleet } : {}),
  };
  const told = await c.deps.notify(c.options, request);
  c.print({ schema: 1, commit: pushed, topic: told.topic }, () => `Notified the hosts on ${told.ref}: ${pushed}`);
  return EXIT.ok;
}
