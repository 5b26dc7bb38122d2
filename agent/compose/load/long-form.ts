/** Short forms into long ones, so that later stages know one form of everything. Pure. */
import type { Issue } from '../../core/types.ts';
import { shapeAt, toMap } from '../merge/merge.ts';
import { MountError, parseMount } from '../spec/mounts.ts';
import { countPorts, PortError, parsePorts, writePorts } from '../spec/ports.ts';
import type { Shape } from '../spec/shape.ts';
import {
  flag,
  goText,
  integer,
  isNull,
  issue,
  list,
  map,
  type Node,
  nothing,
  type ScalarNode,
  stringOf,
  text,
} from '../yaml/node.ts';
import { cleanPath } from '../yaml/paths.ts';
import { type Loading, spend } from './loading.ts';

type Lengthening = Pick<Loading, 'budget' | 'issues'>;

/** The tree with every short form replaced; it has been validated. */
export function lengthen(node: Node, shape: Shape | undefined, loading: Lengthening, path = ''): Node {
  const long = shape?.longForm ? longForm(node, shape, loading, path) : node;
  if (long.kind === 'list') {
    if (shape?.items && (shape.items.props || shape.items.longForm))
      long.items = long.items.map((item, i) => lengthen(item, shape.items, loading, `${path}.${i}`));
    return long;
  }
  if (long.kind === 'map') {
    for (const [key, value] of long.entries) {
      const known = shapeAt(shape, key);
      if (known && (value.kind !== 'scalar' || known.longForm))
        long.entries.set(key, lengthen(value, known, loading, path === '' ? key : `${path}.${key}`));
    }
  }
  return long;
}

function longForm(node: Node, shape: Shape, loading: Lengthening, path: string): Node {
  const { issues } = loading;
  const written = stringOf(node);
  const { at } = node;
  switch (shape.longForm) {
    case 'list':
      return written === undefined ? node : list([node], at);
    case 'source':
      return written === undefined ? node : map([['source', node]], at);
    case 'extends':
      return written === undefined ? node : map([['service', node]], at);
    case 'context':
      return written === undefined ? node : map([['context', node]], at);
    case 'gpus':
      return written === undefined ? node : list([map([['count', text('all', at)]], at)], at);
    case 'networks':
      return toMap(node, (item) => nothing(item.at));
    case 'depends_on':
      return dependsOn(node);
    case 'env_file':
      return written === undefined ? list(itemsLong(node), at) : list([envFile(node)], at);
    case 'device':
      return written === undefined ? node : device(written, node, issues, path);
    case 'mount':
      return written === undefined ? node : mount(written, node, issues, path);
    case 'ports':
      return node.kind === 'list'
        ? list(
            node.items.flatMap((item, i) => port(item, loading, `${path}.${i}`)),
            at,
          )
        : node;
    case 'external':
      return external(node, issues, path);
    default:
      return node;
  }
}

const itemsLong = (node: Node): Node[] => (node.kind === 'list' ? node.items.map(envFile) : []);

function envFile(node: Node): Node {
  const entries: [string, Node][] = node.kind === 'map' ? [...node.entries] : [['path', node]];
  if (!entries.some(([key]) => key === 'required')) entries.push(['required', flag(true, node.at)]);
  return map(entries, node.at);
}

function dependsOn(node: Node): Node {
  const long = toMap(node, (item) => map([], item.at));
  for (const value of long.entries.values()) {
    if (value.kind !== 'map') continue;
    if (!value.entries.has('condition')) value.entries.set('condition', text('service_started', value.at));
    if (!value.entries.has('required')) value.entries.set('required', flag(true, value.at));
  }
  return long;
}

function device(written: string, { at }: Node, issues: Issue[], path: string): Node {
  const [source = '', target = '', permissions = 'rwm', ...more] = written.split(':');
  if (more.length > 0)
    issues.push(issue(at, path, `\`${written}\` has too many colons for a device; use the long form`));
  return map(
    [
      ['source', text(source, at)],
      ['target', text(target || source, at)],
      ['permissions', text(permissions, at)],
    ],
    at,
  );
}

function mount(written: string, node: Node, issues: Issue[], path: string): Node {
  const { at } = node;
  try {
    const read = parseMount(written);
    const entries: [string, Node][] = [['type', text(read.type, at)]];
    if (read.source !== '') entries.push(['source', text(read.source, at)]);
    entries.push(['target', text(cleanPath(read.target), at)]);
    if (read.readOnly) entries.push(['read_only', flag(true, at)]);
    const bind: [string, Node][] = [
      ...(read.selinux ? [['selinux', text(read.selinux, at)] as [string, Node]] : []),
      ...(read.propagation ? [['propagation', text(read.propagation, at)] as [string, Node]] : []),
    ];
    // In the short form a missing host path is made.
    if (read.type === 'bind') bind.push(['create_host_path', flag(true, at)]);
    if (bind.length > 0) entries.push(['bind', map(bind, at)]);
    const nocopy: [string, Node][] = read.nocopy ? [['nocopy', flag(true, at)]] : [];
    if ((read.type === 'volume' && !read.bare) || read.nocopy) entries.push(['volume', map(nocopy, at)]);
    return map(entries, at);
  } catch (thrown) {
    if (!(thrown instanceof MountError)) throw thrown;
    issues.push(
      issue(at, path, `\`${written.slice(0, 80)}\` is not a mount such as ./conf:/etc/app:ro: ${thrown.message}`),
    );
    return node;
  }
}

function port(node: Node, loading: Lengthening, path: string): Node[] {
  if (node.kind !== 'scalar') return [node];
  const { at } = node;
  const written = goText(node as ScalarNode);
  try {
    const range = parsePorts(written);
    if (!spend(loading, countPorts(range) * 5, node, path)) return [];
    return writePorts(range).map((p) =>
      map(
        [
          ['mode', text('ingress', at)],
          ...(p.hostIp ? [['host_ip', text(p.hostIp, at)] as const] : []),
          ['target', integer(p.target, at)],
          ...(p.published ? [['published', text(p.published, at)] as const] : []),
          ['protocol', text(p.protocol, at)],
        ],
        at,
      ),
    );
  } catch (thrown) {
    if (!(thrown instanceof PortError)) throw thrown;
    loading.issues.push(
      issue(at, path, `\`${written.slice(0, 80)}\` is not a port mapping such as "8080:80": ${thrown.message}`),
    );
    return [];
  }
}

/** `external: {name: x}`, the old form. */
function external(node: Node, issues: Issue[], path: string): Node {
  if (node.kind !== 'map') return node;
  const old = node.entries.get('external');
  if (old?.kind !== 'map') return node;
  const name = old.entries.get('name');
  const entries = new Map(node.entries).set('external', flag(true, name?.at ?? old.at));
  const given = node.entries.get('name');
  if (name) {
    if (given && stringOf(given) !== stringOf(name))
      issues.push(issue(name.at, path, `\`${path}\` has two names, \`name\` and \`external.name\`; keep \`name\``));
    if (!given || isNull(given)) entries.set('name', name);
    issues.push(issue(old.at, path, '`external.name` is obsolete; write `external: true` and `name`', 'warning'));
  }
  return { ...node, entries };
}
