/**
 * Webhooks of forges: their signatures, and the pushes that they contain.
 *
 * - GitHub: https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries, `push` of
 *   https://docs.github.com/webhooks/webhook-events-and-payloads#push
 * - GitLab: https://docs.gitlab.com/user/project/integrations/webhooks/ and …/webhook_events/#push-events
 * - Gitea, Forgejo: https://docs.gitea.com/usage/webhooks
 * - Bitbucket: https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/#Push, and Data Center's `repo:refs_changed` of
 *   https://confluence.atlassian.com/bitbucketserver/event-payload-938025882.html
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Forge } from '../../../../manifests-schema/relay.ts';

export interface Push {
  /** `refs/heads/main` */
  ref: string;
  /** Full object id. */
  commit: string;
}

export interface Hook {
  /** Path of the repository, such as `acme/fleet`. */
  repository: string;
  /** Empty for other events, and for deleted refs. */
  pushes: readonly Push[];
}

interface ForgeRules {
  /** Whether the sender of the request knows the secret. */
  isSigned(headers: IncomingHttpHeaders, body: Uint8Array, secret: string): boolean;
  /** Identifies a repeated request: the data that the signature covers, if there is one. */
  idOf(headers: IncomingHttpHeaders, body: Uint8Array): string;
  read(headers: IncomingHttpHeaders, body: Json): Hook;
}

/** Reads untrusted JSON; a missing value is an empty object. */
class Json {
  readonly value: unknown;
  constructor(value: unknown) {
    this.value = value;
  }
  at(...keys: readonly string[]): Json {
    let value = this.value;
    for (const key of keys)
      value =
        typeof value === 'object' && value !== null && Object.hasOwn(value, key)
          ? (value as Record<string, unknown>)[key]
          : undefined;
    return new Json(value);
  }
  text(): string {
    return typeof this.value === 'string' ? this.value : '';
  }
  list(): Json[] {
    return Array.isArray(this.value) ? this.value.slice(0, MAX_PUSHES).map((item) => new Json(item)) : [];
  }
}

/** Maximum number of refs in one request. */
const MAX_PUSHES = 100;

const headerOf = (headers: IncomingHttpHeaders, name: string): string => {
  const value = headers[name];
  return typeof value === 'string' ? value : '';
};

/** Compares in constant time. */
const isSame = (one: string, other: string): boolean => {
  const hash = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(one), hash(other));
};

const hmac = (body: Uint8Array, secret: string): string => createHmac('sha256', secret).update(body).digest('hex');
const contentId = (_headers: IncomingHttpHeaders, body: Uint8Array): string =>
  createHash('sha256').update(body).digest('hex');
const signedBy = (header: string, prefix: string) => (headers: IncomingHttpHeaders, body: Uint8Array, secret: string) =>
  isSame(headerOf(headers, header), `${prefix}${hmac(body, secret)}`);

/** A ref of a branch or tag with a commit; deleted refs have zeros. */
const pushOf = (ref: string, commit: string): Push[] =>
  /^refs\/(heads|tags)\/./.test(ref) && /^[0-9a-f]{40}$/.test(commit) && !/^0+$/.test(commit) ? [{ ref, commit }] : [];

const RULES: Readonly<Record<Forge, ForgeRules>> = {
  github: {
    isSigned: signedBy('x-hub-signature-256', 'sha256='),
    idOf: contentId,
    read: (headers, body) => ({
      repository: body.at('repository', 'full_name').text(),
      // For an annotated tag, `after` is the tag object.
      pushes:
        headerOf(headers, 'x-github-event') === 'push'
          ? pushOf(
              body.at('ref').text(),
              body.at('deleted').value === true ? '' : body.at('head_commit', 'id').text() || body.at('after').text(),
            )
          : [],
    }),
  },
  gitlab: {
    isSigned: (headers, _body, secret) => isSame(headerOf(headers, 'x-gitlab-token'), secret),
    // GitLab signs nothing: anybody who knows the token can send any content.
    idOf: (headers, body) => headerOf(headers, 'x-gitlab-event-uuid') || contentId(headers, body),
    read: (headers, body) => ({
      repository: body.at('project', 'path_with_namespace').text(),
      pushes: /^(Tag )?Push Hook$/.test(headerOf(headers, 'x-gitlab-event'))
        ? pushOf(body.at('ref').text(), /^0+$/.test(body.at('after').text()) ? '' : body.at('checkout_sha').text())
        : [],
    }),
  },
  gitea: {
    isSigned: signedBy('x-gitea-signature', ''),
    idOf: contentId,
    read: (headers, body) => ({
      repository: body.at('repository', 'full_name').text(),
      pushes:
        headerOf(headers, 'x-gitea-event') === 'push'
          ? pushOf(
              body.at('ref').text(),
              /^0+$/.test(body.at('after').text())
                ? ''
                : body.at('head_commit', 'id').text() || body.at('after').text(),
            )
          : [],
    }),
  },
  bitbucket: {
    isSigned: signedBy('x-hub-signature', 'sha256='),
    idOf: contentId,
    read(headers, body) {
      const event = headerOf(headers, 'x-event-key');
      const project = body.at('repository', 'project', 'key').text();
      const pushes =
        event === 'repo:push'
          ? body.at('push', 'changes').list().flatMap(cloudPush)
          : event === 'repo:refs_changed'
            ? body
                .at('changes')
                .list()
                .flatMap((change) => pushOf(change.at('ref', 'id').text(), change.at('toHash').text()))
            : [];
      // Data Center has no full name.
      return {
        repository: body.at('repository', 'full_name').text() || `${project}/${body.at('repository', 'slug').text()}`,
        pushes,
      };
    },
  },
};

function cloudPush(change: Json): Push[] {
  const type = change.at('new', 'type').text();
  const kind = type === 'branch' ? 'heads' : type === 'tag' ? 'tags' : '';
  return pushOf(`refs/${kind}/${change.at('new', 'name').text()}`, change.at('new', 'target', 'hash').text());
}

export type Reading =
  | { kind: 'unsigned' }
  /** The body is not JSON. */
  | { kind: 'unreadable' }
  | { kind: 'hook'; id: string; hook: Hook };

/** A body is parsed only after its signature was verified. @param secret an empty one verifies nothing */
export function readHook(
  forge: Forge,
  { headers, body, secret }: { headers: IncomingHttpHeaders; body: Uint8Array; secret: string },
): Reading {
  const { isSigned, idOf, read } = RULES[forge];
  if (secret === '' || !isSigned(headers, body, secret)) return { kind: 'unsigned' };
  try {
    return {
      kind: 'hook',
      id: idOf(headers, body),
      hook: read(headers, new Json(JSON.parse(Buffer.from(body).toString('utf8')))),
    };
  } catch {
    return { kind: 'unreadable' };
  }
}
