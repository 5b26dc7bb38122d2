/** Holds a tree against its shape: every complaint with its place and, for a key, the key that was meant. Pure. */
import type { Issue } from '../../core/types.ts';
import { didYouMean } from '../yaml/hints.ts';
import { canonical, issue, type ListNode, type MapNode, type Node, type ScalarNode } from '../yaml/node.ts';
import type { Shape } from './shape.ts';

export function validate(node: Node, shape: Shape, issues: Issue[], path = ''): void {
  if (node.kind === 'scalar') {
    const wrong = scalarProblem(node, shape);
    if (wrong !== null) issues.push(issue(node.at, path, `\`${keyOf(path)}\` ${wrong}`));
  } else if (node.kind === 'list') checkList(node, shape, issues, path);
  else checkMap(node, shape, issues, path);
}

const keyOf = (path: string): string => path.slice(path.lastIndexOf('.') + 1);

function scalarProblem(node: ScalarNode, shape: Shape): string | null {
  const type = node.type === 'time' ? 'string' : node.type;
  const integral = type === 'float' && shape.types.includes('int') && Number.isInteger(node.value);
  if (!shape.types.includes(type) && !integral) return `${mustBe(shape)}, got ${describe(node)}`;
  const shown = `\`${String(node.value).slice(0, 60)}\``;
  if (type === 'string') {
    const value = String(node.value);
    if (shape.enum && !shape.enum.includes(value))
      return `must be ${either(shape.enum)}, got ${shown}${didYouMean(value, shape.enum)}`;
    return shape.pattern && !shape.pattern.match.test(value) ? `${shape.pattern.says}, got ${shown}` : null;
  }
  if (type !== 'int' && type !== 'float') return null;
  const value = Number(node.value);
  if (!Number.isFinite(value)) return 'must be a finite number';
  if (shape.min !== undefined && value < shape.min) return `must be ${shape.min} or more, got ${value}`;
  return shape.max !== undefined && value > shape.max ? `must be ${shape.max} or less, got ${value}` : null;
}

function checkList(node: ListNode, shape: Shape, issues: Issue[], path: string): void {
  if (!shape.items) {
    issues.push(issue(node.at, path, `\`${keyOf(path)}\` ${mustBe(shape)}, got a list`));
    return;
  }
  for (const [i, item] of node.items.entries()) validate(item, shape.items, issues, `${path}.${i}`);
  if (!shape.unique) return;
  const seen = new Set<string>();
  for (const [i, item] of node.items.entries()) {
    const content = canonical(item);
    if (seen.has(content))
      issues.push(issue(item.at, `${path}.${i}`, `\`${keyOf(path)}\` has the same item twice; remove one`));
    seen.add(content);
  }
}

function checkMap(node: MapNode, shape: Shape, issues: Issue[], path: string): void {
  const { props, keys } = shape;
  if (!props && !keys && !shape.open) {
    issues.push(issue(node.at, path, `\`${keyOf(path)}\` ${mustBe(shape)}, got a mapping`));
    return;
  }
  const at = path === '' ? '' : `${path}.`;
  for (const [key, value] of node.entries) {
    const known = props && Object.hasOwn(props, key) ? props[key] : keys?.match.test(key) ? keys.value : undefined;
    if (known) validate(value, known, issues, `${at}${key}`);
    else if (!(shape.open || (shape.extensible && key.startsWith('x-'))))
      issues.push(issue(value.at, `${at}${key}`, unknownKey(key, shape, issues.length < HINTS)));
  }
  for (const key of shape.required ?? [])
    if (!node.entries.has(key)) issues.push(issue(node.at, path, `\`${keyOf(path)}\` lacks its \`${key}\``));
}

/** Hints cost time: among this many mistakes nobody misses one. */
const HINTS = 200;

function unknownKey(key: string, { props, keys }: Shape, hint: boolean): string {
  if (keys && !props) return `\`${key}\` is not a name that Compose takes; use letters, digits, dots, - and _`;
  const valid = Object.keys(props ?? {});
  const near = hint ? didYouMean(key, valid) : '';
  if (near !== '') return `unknown key \`${key}\`${near}`;
  return `unknown key \`${key}\`${valid.length <= 12 ? `; valid here: ${valid.join(', ')}` : ''}`;
}

const WORDS: Record<string, string> = {
  string: 'a string',
  int: 'a whole number',
  bool: 'true or false',
  null: 'empty',
};

/** `must be a string or a list` */
function mustBe(shape: Shape): string {
  const forms = shape.types.includes('float')
    ? shape.types.filter((t) => t !== 'int').map((t) => (t === 'float' ? 'a number' : WORDS[t]))
    : shape.types.map((t) => WORDS[t]);
  if (shape.items) forms.push('a list');
  if (shape.props || shape.keys || shape.open) forms.push('a mapping');
  return `must be ${either(forms.map((f) => f ?? ''))}`;
}

const either = (words: readonly string[]): string =>
  words.length < 2 ? (words[0] ?? '') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;

export function describe(node: Node): string {
  if (node.kind !== 'scalar') return node.kind === 'map' ? 'a mapping' : 'a list';
  if (node.type === 'null') return 'nothing';
  const what = { string: 'the text', int: 'the number', float: 'the number', bool: '', time: 'the date' }[node.type];
  return `${what} ${JSON.stringify(String(node.value)).slice(0, 60)}`.trim();
}
