/**
 * Finds settings that Compose accepts but an engine on a single host cannot honour: an error that says what to do instead,
 * or a warning. Pure.
 */
import type { Issue } from '../../core/types.ts';
import { shapeAt } from '../merge/merge.ts';
import type { Shape } from '../spec/shape.ts';
import { KEPT_BY_SWARM, project as projectShape } from '../spec/spec.ts';
import { child, entriesOf, issue, itemsOf, type MapNode, type Node, stringOf } from '../yaml/node.ts';
import type { ComposeProject } from './types.ts';

/** Look only at what the project uses: an unused volume or a service of an inactive profile harms nobody. */
export function refusals(model: MapNode, project: ComposeProject): Issue[] {
  const issues: Issue[] = [];
  for (const [section, node] of model.entries) {
    const shape = shapeAt(projectShape, section);
    if (!shape || section === 'name') continue;
    if (shape.refuse) {
      issues.push(refusal(node, section, shape.refuse));
      continue;
    }
    const used = project[section as keyof ComposeProject] as Record<string, unknown> | undefined;
    for (const [name, entry] of entriesOf(node))
      if (used && Object.hasOwn(used, name)) {
        walk(entry, shape.keys?.value, `${section}.${name}`, issues);
        refuseValues(section, name, entry, issues);
      }
  }
  return issues;
}

const refusal = (node: Node, path: string, why: string): Issue =>
  issue(node.at, path, `\`${path.slice(path.lastIndexOf('.') + 1)}\` ${why}`);

function walk(node: Node, shape: Shape | undefined, path: string, issues: Issue[]): void {
  if (shape?.refuse) {
    issues.push(refusal(node, path, shape.refuse));
    return;
  }
  if (shape?.passOver) {
    issues.push({ ...refusal(node, path, shape.passOver), severity: 'warning' });
    return;
  }
  if (node.kind === 'map')
    for (const [key, value] of node.entries) walk(value, shapeAt(shape, key), `${path}.${key}`, issues);
  if (node.kind === 'list' && shape?.items)
    for (const [i, item] of node.items.entries()) walk(item, shape.items, `${path}.${i}`, issues);
}

/** A name that `docker compose` and the engine accept for a container. */
const CONTAINER_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** Keys that are fine, with a value that is not. */
function refuseValues(section: string, name: string, entry: Node, issues: Issue[]): void {
  const at = `${section}.${name}`;
  const external = child(entry, 'external');
  if ((section === 'configs' || section === 'secrets') && external?.kind === 'scalar' && external.value === true)
    issues.push(refusal(external, `${at}.external`, KEPT_BY_SWARM));
  if (section !== 'services') return;
  const own = child(entry, 'container_name');
  if (own && !CONTAINER_NAME.test(stringOf(own) ?? ''))
    issues.push(
      issue(
        own.at,
        `${at}.container_name`,
        `\`container_name\` must have two or more letters, digits, \`_\`, \`.\` and \`-\`, and begin with a letter or digit, got \`${stringOf(own) ?? ''}\``,
      ),
    );
  const mode = child(child(entry, 'deploy'), 'mode');
  if (mode && !['replicated', ''].includes(stringOf(mode) ?? ''))
    issues.push(
      issue(
        mode.at,
        `${at}.deploy.mode`,
        `\`${stringOf(mode)}\` needs a swarm, which a host is not; only \`replicated\` works`,
      ),
    );
  const pull = child(entry, 'pull_policy');
  if (pull && stringOf(pull) === 'build')
    issues.push(
      issue(
        pull.at,
        `${at}.pull_policy`,
        '`pull_policy: build` asks a host to build the image, which hosts do not do; push the image to a registry',
      ),
    );
  for (const [i, mount] of itemsOf(child(entry, 'volumes')).entries()) {
    const type = child(mount, 'type');
    if (type && !['bind', 'volume', 'tmpfs', 'image'].includes(stringOf(type) ?? ''))
      issues.push(
        issue(
          type.at,
          `${at}.volumes.${i}.type`,
          `a mount of type \`${stringOf(type)}\` is not for Linux containers; use bind, volume or tmpfs`,
        ),
      );
  }
}
