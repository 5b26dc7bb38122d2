/** Defaults and rules that Compose has beside the schema. Pure, on a model in its long form. */
import type { Issue } from '../../core/types.ts';
import { child, entriesOf, isNull, issue, itemsOf, type MapNode, type Node, stringOf, text } from '../yaml/node.ts';

export function applyDefaults(model: MapNode): void {
  for (const [, service] of entriesOf(child(model, 'services'))) {
    for (const secret of itemsOf(child(service, 'secrets')))
      setDefault(secret, 'target', () => text(`/run/secrets/${stringOf(child(secret, 'source')) ?? ''}`, secret.at));
    for (const port of itemsOf(child(service, 'ports'))) {
      setDefault(port, 'protocol', () => text('tcp', port.at));
      setDefault(port, 'mode', () => text('ingress', port.at));
    }
    for (const request of deviceRequests(service))
      if (!child(request, 'device_ids')) setDefault(request, 'count', () => text('all', request.at));
  }
}

function setDefault(node: Node, key: string, value: () => Node): void {
  if (node.kind === 'map' && !node.entries.has(key)) node.entries.set(key, value());
}

const deviceRequests = (service: Node): Node[] => [
  ...itemsOf(child(service, 'gpus')),
  ...itemsOf(child(child(child(child(service, 'deploy'), 'resources'), 'reservations'), 'devices')),
];

export function checkRules(model: MapNode, issues: Issue[]): void {
  for (const [name, service] of entriesOf(child(model, 'services'))) {
    for (const request of deviceRequests(service))
      if (child(request, 'count') && child(request, 'device_ids'))
        issues.push(issue(request.at, `services.${name}`, '`count` and `device_ids` exclude each other; keep one'));
    for (const [key, what] of [
      ['volumes', 'mount'],
      ['devices', 'device'],
    ] as const)
      for (const [i, item] of itemsOf(child(service, key)).entries())
        if (item.kind === 'map' && stringOf(child(item, 'target')) === undefined)
          issues.push(issue(item.at, `services.${name}.${key}.${i}`, `a ${what} needs its \`target\``));
  }
  for (const [name, volume] of entriesOf(child(model, 'volumes'))) checkExternal(volume, `volumes.${name}`, issues);
  for (const [name, config] of entriesOf(child(model, 'configs')))
    checkContent(config, ['file', 'environment', 'content'], `configs.${name}`, issues);
  for (const [name, secret] of entriesOf(child(model, 'secrets')))
    checkContent(secret, ['file', 'environment'], `secrets.${name}`, issues);
}

const isTrue = (node: Node | undefined): boolean => node?.kind === 'scalar' && node.value === true;

function checkExternal(node: Node, path: string, issues: Issue[]): void {
  if (!isTrue(child(node, 'external'))) return;
  for (const [key, value] of entriesOf(node))
    if (key !== 'name' && key !== 'external' && !key.startsWith('x-'))
      issues.push(issue(value.at, `${path}.${key}`, `\`${key}\` has no meaning beside \`external: true\`; remove one`));
}

function checkContent(node: Node, keys: readonly string[], path: string, issues: Issue[]): void {
  if (node.kind !== 'map') {
    if (isNull(node)) issues.push(issue(node.at, path, `\`${path}\` needs one of ${keys.join(', ')}`));
    return;
  }
  const given = keys.filter((key) => node.entries.has(key));
  if (given.length > 1) issues.push(issue(node.at, path, `\`${path}\` has ${given.join(' and ')}; keep one`));
  if (given.length === 0 && !node.entries.has('driver') && !node.entries.has('external'))
    issues.push(issue(node.at, path, `\`${path}\` needs one of ${keys.join(', ')}`));
}
