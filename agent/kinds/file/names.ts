/** The names that a file provides besides its path, and the names that it uses. Pure. */
import path from 'node:path';
import type { Named } from '../../core/kind.ts';
import { generatedBy } from './generators.ts';
import type { FileSpec } from './spec.ts';

const SYSUSERS = /^\/(etc|run|usr\/lib)\/sysusers\.d\/[^/]+\.conf$/;
const NETWORKD = /^\/(etc|run)\/systemd\/network\/[^/]+\.network(\.d\/[^/]+\.conf)?$/;

/** Users of sysusers.d(5), addresses of systemd.network(5), and the units that a generator makes from it. */
export function fileProvides(spec: FileSpec): string[] {
  if (spec.type !== 'file' || !(spec.content instanceof Uint8Array)) return [];
  const { path: at, content } = spec;
  const text = () => new TextDecoder().decode(content);
  if (SYSUSERS.test(at))
    return [...text().matchAll(/^\s*([ug])!?\s+(\S+)/gm)].flatMap(([, type, name]) =>
      type === 'u' ? [`user:${name}`, `group:${name}`] : [`group:${name}`],
    );
  if (NETWORKD.test(at))
    return [...text().matchAll(/^\s*Address\s*=\s*([^\s/]+)/gm)].map(([, address]) => `address:${address}`);
  return generatedBy(at, text);
}

/** Its owner and group, the target of a link, and its validator. */
export function fileNames({ path: at, type, owner, group, target, validate = [] }: FileSpec): Named[] {
  const accounts = [`user:${owner}`, `group:${group}`].filter((name) => !/:(root|\d+)$/.test(name));
  const leads = type === 'link' && target !== undefined ? [path.resolve(path.dirname(at), target)] : [];
  const paths = [...leads, ...validate.filter((word) => word.startsWith('/'))].filter(
    (one) => one !== at && one !== '/',
  );
  return [...(type === 'absent' ? [] : accounts), ...paths.map((one) => `path:${one}`)].map((name) => ({ name }));
}
