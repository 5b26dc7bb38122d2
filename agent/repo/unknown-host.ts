/** A host that somebody names and that a fleet repository does not have. */
import { nearest } from '../../manifests-schema/check.ts';
import { AgentError } from '../errors.ts';
import type { Fleet } from './fleet.ts';

/** Hosts that are named; the others are only counted. */
const NAMED = 10;

/** @throws AgentError `NoRepository` if there is no host at all: then it is hardly a fleet repository */
export function requireHosts({ hosts, settings, tree }: Pick<Fleet, 'hosts' | 'settings' | 'tree'>): void {
  if (hosts.length > 0) return;
  throw new AgentError({
    code: 'NoRepository',
    phase: 'load',
    message: `${tree.name} is no fleet repository: no directory matches ${settings.hosts.join(', ')}; name the top of one with --dir`,
  });
}

/** @returns the error to throw, `UnknownHost` or, if there is no host at all, `NoRepository` */
export function unknownHost(fleet: Pick<Fleet, 'hosts' | 'settings' | 'tree'>, name: string): AgentError {
  requireHosts(fleet);
  const known = fleet.hosts.map((host) => host.name);
  const near = nearest(name, [...known, ...fleet.hosts.map((host) => host.path)]);
  const more = known.length > NAMED ? ` and ${known.length - NAMED} more` : '';
  const hint = near ? `did you mean \`${near}\`?` : `there are ${known.slice(0, NAMED).join(', ')}${more}`;
  const message = `no host \`${name}\` in this repository; ${hint}`;
  return new AgentError({ code: 'UnknownHost', phase: 'load', message });
}
