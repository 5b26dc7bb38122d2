/** Checks rules between the parts of a project. Pure, on the normalised model. */
import { isImageName } from '../../core/names/image-name.ts';
import { circle, didYouMean } from '../yaml/hints.ts';
import type { KeyPath } from '../yaml/node.ts';
import type { ComposeProject, ComposeService } from './types.ts';

export type Report = (path: KeyPath, message: string) => void;

/** `disabled`: services of profiles that are not active. */
export function checkConsistency(
  project: ComposeProject,
  disabled: ReadonlyMap<string, readonly string[]>,
  report: Report,
): void {
  for (const [name, service] of Object.entries(project.services)) {
    const at = ['services', name];
    if (!service.image && service.build === undefined && service.provider === undefined)
      report(at, `service \`${name}\` has no \`image\``);
    else if (service.image && !isImageName(service.image))
      report(
        [...at, 'image'],
        `\`${service.image}\` is not the name of an image; write [REGISTRY/]NAME[:TAG][@DIGEST], the name in lower case`,
      );
    checkReferences(project, name, service, report);
    checkDependencies(project, name, service, disabled, report);
    checkLimits(name, service, report);
    checkTargets(name, service, report);
    const test = service.healthcheck?.test?.[0];
    if (test !== undefined && !['CMD', 'CMD-SHELL', 'NONE'].includes(test))
      report([...at, 'healthcheck', 'test'], 'a list begins with CMD, CMD-SHELL or NONE');
    const scale = service.scale ?? service.deploy?.replicas ?? 1;
    if (scale > 1 && service.container_name)
      report(
        [...at, 'container_name'],
        `service \`${name}\` is to run ${scale} times, so it can have no \`container_name\``,
      );
  }
  for (const [name, secret] of Object.entries(project.secrets ?? {}))
    if (!secret.external && !secret.file && !secret.environment)
      report(['secrets', name], `secret \`${name}\` needs \`file\` or \`environment\``);
  checkCycles(project, report);
}

function checkReferences(project: ComposeProject, name: string, service: ComposeService, report: Report): void {
  const at = ['services', name];
  const declared = (section: 'networks' | 'volumes' | 'configs' | 'secrets', key: string, path: KeyPath) => {
    if (Object.hasOwn(project[section] ?? {}, key)) return;
    const known = Object.keys(project[section] ?? {});
    report(path, `${section.slice(0, -1)} \`${key}\` is not declared under \`${section}\`${didYouMean(key, known)}`);
  };
  if (service.network_mode && Object.keys(service.networks ?? {}).length > 0)
    report([...at, 'network_mode'], '`network_mode` and `networks` exclude each other; keep one');
  for (const key of Object.keys(service.networks ?? {})) declared('networks', key, [...at, 'networks', key]);
  for (const [i, mount] of (service.volumes ?? []).entries())
    if (mount.type === 'volume' && mount.source) declared('volumes', mount.source, [...at, 'volumes', i]);
  for (const [i, config] of (service.configs ?? []).entries())
    declared('configs', config.source ?? '', [...at, 'configs', i]);
  for (const [i, secret] of (service.secrets ?? []).entries())
    declared('secrets', secret.source ?? '', [...at, 'secrets', i]);
}

function checkDependencies(
  project: ComposeProject,
  name: string,
  service: ComposeService,
  disabled: ReadonlyMap<string, readonly string[]>,
  report: Report,
): void {
  for (const [other, how] of Object.entries(service.depends_on ?? {})) {
    if (Object.hasOwn(project.services, other)) continue;
    const profiles = disabled.get(other);
    if (profiles && !how.required) continue;
    const why = profiles
      ? `which is off; its profiles are ${profiles.join(', ')}: add one to COMPOSE_PROFILES`
      : `which this stack does not have${didYouMean(other, Object.keys(project.services))}`;
    report(['services', name, 'depends_on', other], `\`${name}\` depends on \`${other}\`, ${why}`);
  }
}

/** A path in a container may be mounted only once. */
function checkTargets(name: string, service: ComposeService, report: Report): void {
  const mounted = new Map<string, string>();
  const tmpfs = (service.tmpfs ?? []).map((text) => text.split(':')[0] ?? '');
  const volumes = (service.volumes ?? []).map((mount) => mount.target ?? '');
  for (const [key, targets] of [
    ['tmpfs', tmpfs],
    ['volumes', volumes],
  ] as const)
    for (const [i, target] of targets.entries()) {
      const other = mounted.get(target);
      if (other !== undefined)
        report(['services', name, key, i], `\`${target}\` is mounted twice, here and at \`${other}\`; keep one`);
      mounted.set(target, `${key}[${i}]`);
    }
}

/** The same limit written in two places must be the same. */
function checkLimits(name: string, service: ComposeService, report: Report): void {
  const { deploy } = service;
  if (!deploy) return;
  const differ = (key: string, own: unknown, path: string, other: unknown) => {
    if (own !== undefined && own !== other)
      report(['services', name, key], `\`${key}\` and \`deploy.${path}\` say different things; keep one`);
  };
  if (deploy.replicas !== undefined) differ('scale', service.scale, 'replicas', deploy.replicas);
  const { limits, reservations } = deploy.resources ?? {};
  if (limits) {
    differ('cpus', service.cpus, 'resources.limits.cpus', limits.cpus);
    differ('mem_limit', service.mem_limit, 'resources.limits.memory', limits.memory);
    differ('pids_limit', service.pids_limit, 'resources.limits.pids', limits.pids);
  }
  if (reservations)
    differ('mem_reservation', service.mem_reservation, 'resources.reservations.memory', reservations.memory);
}

function checkCycles(project: ComposeProject, report: Report): void {
  const done = new Set<string>();
  const visit = (start: string) => {
    const path: { name: string; rest: string[] }[] = [{ name: start, rest: dependenciesOf(project, start) }];
    const onPath = new Set([start]);
    while (path.length > 0) {
      const top = path[path.length - 1] as { name: string; rest: string[] };
      const next = top.rest.shift();
      if (next === undefined) {
        done.add(top.name);
        onPath.delete(top.name);
        path.pop();
        continue;
      }
      if (onPath.has(next)) {
        const at = path.findIndex((step) => step.name === next);
        const names = [...path.slice(at).map((step) => step.name), next];
        report(['services', top.name, 'depends_on', next], `\`depends_on\` has a cycle: ${circle(names)}`);
        done.add(next);
      } else if (!done.has(next)) {
        path.push({ name: next, rest: dependenciesOf(project, next) });
        onPath.add(next);
      }
    }
  };
  for (const name of Object.keys(project.services)) if (!done.has(name)) visit(name);
}

const dependenciesOf = (project: ComposeProject, name: string): string[] =>
  Object.keys(project.services[name]?.depends_on ?? {}).filter((other) => Object.hasOwn(project.services, other));
