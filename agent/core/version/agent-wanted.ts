/**
 * Which version of the agent a commit wants on a host. It is read first and separately, because this agent may be too old for
 * the rest of the commit; unknown keys are therefore ignored. Nothing is guessed: if one of the relevant files cannot be read,
 * no version is wanted. Pure.
 */

import { type AgentPackage, agentPackage } from '../../../manifests-schema/agent-package.ts';
import { issueAt } from '../../../manifests-schema/check.ts';
import { roles as rolesShape } from '../../../manifests-schema/settings.ts';
import { type Parsed, parseYaml } from '../../../manifests-schema/yaml.ts';
import { resolveSource } from '../names/source-path.ts';
import { encryptionOf } from '../payload/encrypted.ts';
import { NotText, strictText } from '../strict-text.ts';
import type { Issue } from '../types.ts';

/** How fairlead was installed on this host, and so which packages it can install. */
export type PackageFormat = 'deb' | 'rpm' | 'tarball';

export interface WantedAgent {
  version: string;
  /** A path in the repository, or an https URL. */
  source: { payload: string } | { url: string };
  format: PackageFormat;
  /** SHA-256, hex; null only if the source is a file of the repository, which git already identifies by its content. */
  sha256: string | null;
  /** The line that sets `version`. */
  origin: { file: string; line: number };
}

export interface WantedRead {
  wanted: WantedAgent | null;
  /** Why the setting is ignored although there is one. They do not stop an upgrade that is declared correctly. */
  issues: Issue[];
}

interface Said {
  parsed: Parsed;
  value: Readonly<Record<string, unknown>>;
}

type Files = ReadonlyMap<string, Uint8Array>;
type Key = 'version' | 'source' | 'sha256';
type Found = { value: string; parsed: Parsed; layer: string };

const KEYS: readonly Key[] = ['version', 'source', 'sha256'];
const NOTHING: WantedRead = { wanted: null, issues: [] };
/** The layer of fleet.yaml, which has no directory. */
const FLEET = '';
/** Limit for roles that include roles; deeper than any real fleet. */
const MAX_DEPTH = 100;
/** Longer than any URL that a server accepts. */
const MAX_SOURCE = 2_000;

/** Never throws, whatever the files contain. */
export function readWantedAgent(files: Files, hostPath: string): WantedRead {
  const layers = layersOf(files, hostPath);
  if (layers === null) return NOTHING;
  const found = new Map<Key, Found>();
  for (const [layer, { parsed, value }] of layers) {
    if (!Object.hasOwn(value, 'agent')) continue;
    const said = value.agent;
    if (said === null || said === undefined) {
      found.clear();
      continue;
    }
    if (!isMapping(said)) return NOTHING;
    for (const key of KEYS) {
      if (!Object.hasOwn(said, key)) continue;
      const one = said[key];
      if (one === null) found.delete(key);
      else if (typeof one === 'string') found.set(key, { value: one, parsed, layer });
      else return NOTHING;
    }
  }
  return judged(found);
}

/**
 * Layers in order, lowest first: fleet.yaml, roles, the host. Null if one of them cannot be read, because it may set anything.
 */
function layersOf(files: Files, hostPath: string): ReadonlyMap<string, Said> | null {
  const fleet = read(files, 'fleet.yaml');
  const host = read(files, `${hostPath}/host.yaml`);
  if (fleet === null || host === null) return null;
  const known = roleNames(files);
  const layers = new Map<string, Said>([[FLEET, fleet]]);
  const addRoles = ({ value }: Said, path: readonly string[]): boolean => {
    const below = rolesShape.nullish().safeParse(value.roles);
    return below.success && (below.data ?? []).every((name) => addRole(name, path));
  };
  const addRole = (name: string, path: readonly string[]): boolean => {
    const layer = `roles/${name}`;
    if (layers.has(layer)) return true;
    if (path.includes(name) || path.length > MAX_DEPTH || !known.has(name)) return false;
    const role = read(files, `${layer}/role.yaml`);
    if (role === null || !addRoles(role, [...path, name])) return false;
    layers.set(layer, role);
    return true;
  };
  if (!addRoles(fleet, []) || !addRoles(host, [])) return null;
  layers.set(hostPath, host);
  return layers;
}

const roleNames = (files: Files): ReadonlySet<string> =>
  new Set([...files.keys()].flatMap((file) => /^roles\/([^/]+)\//.exec(file)?.[1] ?? []));

/** A missing file sets nothing. Null if the file exists but cannot be read. */
function read(files: Files, file: string): Said | null {
  const bytes = files.get(file);
  const text = bytes === undefined ? '' : textOf(file, bytes);
  if (text === null) return null;
  const parsed = parseYaml(file, text);
  const value = parsed.value ?? {};
  return parsed.issues.length === 0 && isMapping(value) ? { parsed, value } : null;
}

function textOf(file: string, bytes: Uint8Array): string | null {
  if (encryptionOf(file, bytes) !== null) return null;
  try {
    return strictText(bytes);
  } catch (thrown) {
    if (thrown instanceof NotText) return null;
    throw thrown;
  }
}

const isMapping = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function judged(found: ReadonlyMap<Key, Found>): WantedRead {
  const [version, source, sha256] = KEYS.map((key) => found.get(key));
  const said = version ?? source ?? sha256;
  if (said === undefined) return NOTHING;
  const wrong = (key: Key, message: string): WantedRead => {
    const { parsed } = found.get(key) ?? said;
    return { wanted: null, issues: [issueAt(parsed, ['agent', key], message)] };
  };
  for (const [key, { value }] of found)
    if (!agentPackage.safeParse({ [key]: value } satisfies AgentPackage).success)
      return wrong(key, `${key} is not one that this version of fairlead reads`);
  if (version === undefined) return wrong('version', '`agent` needs `version`: the version that the package brings');
  if (source === undefined)
    return wrong('source', '`agent` needs `source`: a package in the repository, or an https URL of one');
  const from = sourceOf(source);
  if (typeof from === 'string') return wrong('source', from);
  const format = formatOf(source.value);
  if (format === null) return wrong('source', 'must end in .deb, .rpm, .tar.xz, .tar.zst, .tar.gz or .tgz');
  if ('url' in from && sha256 === undefined)
    return wrong('sha256', 'a package from a URL needs `sha256`; `sha256sum` of the package prints it');
  const place = version.parsed.locate(['agent', 'version']);
  const origin = { file: version.parsed.file, line: place.line };
  return {
    wanted: { version: version.value, source: from, format, sha256: sha256?.value ?? null, origin },
    issues: [],
  };
}

/** @returns the source, or a sentence that says why the value is not one */
function sourceOf({ value, parsed, layer }: Found): WantedAgent['source'] | string {
  if (value.length > MAX_SOURCE) return `must have at most ${MAX_SOURCE} characters`;
  if (/^[A-Za-z][A-Za-z0-9+.-]*:/.test(value)) {
    const url = URL.parse(value);
    if (url === null || url.protocol !== 'https:') return 'must be a file of the repository, or an https URL';
    if (url.username !== '' || url.password !== '')
      return 'must not contain a password: everybody who can read the repository would have it';
    return { url: url.href };
  }
  if (layer === FLEET)
    return 'must be an https URL here: fleet.yaml has no files of its own; put the package into a role';
  const payload = resolveSource(parsed.file, value, layer);
  return payload === null || payload === layer ? `must be a file below ${layer}` : { payload };
}

function formatOf(source: string): PackageFormat | null {
  const name = source.replace(/[?#].*$/s, '');
  if (name.endsWith('.deb')) return 'deb';
  if (name.endsWith('.rpm')) return 'rpm';
  return /\.(tar(\.(xz|zst|gz))?|tgz)$/.test(name) ? 'tarball' : null;
}

/** Checks that a package in the repository exists and matches `sha256`. */
export function packageIssues(
  { source, sha256, origin }: WantedAgent,
  digestOf: (file: string) => string | null,
): Issue[] {
  if (!('payload' in source)) return [];
  const at = { file: origin.file, line: origin.line, column: 1, key: 'agent.source', severity: 'error' as const };
  const digest = digestOf(source.payload);
  if (digest === null) return [{ ...at, message: `there is no file ${source.payload}; \`agent.source\` names it` }];
  if (sha256 === null || sha256 === digest) return [];
  const message = `${source.payload} has the SHA-256 ${digest}, and \`agent.sha256\` says ${sha256}`;
  return [{ ...at, key: 'agent.sha256', message }];
}

/** One key of a file that an older agent cannot read by its schema, as written; undefined if it is missing. */
export function settingOf(files: Files, hostPath: string, key: string): unknown {
  const said = read(files, `${hostPath}/host.yaml`);
  return said === null || !Object.hasOwn(said.value, key) ? undefined : said.value[key];
}
