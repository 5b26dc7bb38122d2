/** The layers of a host: fleet.yaml, its roles, the host's roles, roles of roles, the host itself. Pure. */
import type { z } from 'zod';
import { check, issueAt, nearest } from '../../../manifests-schema/check.ts';
import { type FleetSettings, fleetSettings } from '../../../manifests-schema/fleet.ts';
import { type HostSettings, hostSettings } from '../../../manifests-schema/host.ts';
import { type RoleSettings, roleSettings } from '../../../manifests-schema/role.ts';
import { type Parsed, parseYaml } from '../../../manifests-schema/yaml.ts';
import { encryptionOf, notReadable } from '../payload/encrypted.ts';
import { textOrIssue } from '../strict-text.ts';
import type { Issue, Origin } from '../types.ts';

/** A layer with its own directory: a role, or the host. */
export interface Layer {
  /** Its directory in the repository, e.g. `roles/base`. Also its name in origins. */
  dir: string;
  kind: 'role' | 'host';
}

export interface Var {
  value: unknown;
  origin: Origin;
}

export interface Chain {
  /** Lowest first; the host is the last. */
  layers: Layer[];
  fleet: FleetSettings;
  host: HostSettings;
  vars: ReadonlyMap<string, Var>;
  /** Whether a layer sets the version of the agent; agent-wanted.ts reads which. */
  saysAgent: boolean;
  issues: Issue[];
}

/** A settings file as read; `settings` is null if it has errors or is missing. */
export interface Settings<T> {
  parsed: Parsed | null;
  settings: T | null;
  issues: Issue[];
}

/** Data that the hosts of one commit share because it does not depend on the host. Created by the reader of the commit. */
export interface LayerCache {
  settings: Map<string, Settings<unknown>>;
  contents: Map<string, unknown>;
  /** Names below roles/; null until they are needed. */
  roles: ReadonlySet<string> | null;
  /** Template engines of roles, by directory. */
  engines: Map<string, unknown>;
  /** SHA-256 of packages of the agent, by path; null for a file that is not there. */
  digests: Map<string, string | null>;
}
export const createLayerCache = (): LayerCache => ({
  settings: new Map(),
  contents: new Map(),
  roles: null,
  engines: new Map(),
  digests: new Map(),
});

type Files = ReadonlyMap<string, Uint8Array>;

/** @param local  variables of this host, which override those of every layer */
export function readChain(
  files: Files,
  hostPath: string,
  cache: LayerCache,
  local: ReadonlyMap<string, Var> = new Map(),
): Chain {
  const issues: Issue[] = [];
  const read = <T>(file: string, schema: z.ZodType<T>, shared: boolean): Settings<T> =>
    shared ? readShared(files, file, schema, cache) : readSettings(files, file, schema);
  const fleet = read('fleet.yaml', fleetSettings, true);
  const host = read(`${hostPath}/host.yaml`, hostSettings, false);
  issues.push(...fleet.issues, ...host.issues);

  const roles = new Map<string, Settings<RoleSettings>>();
  const known = cache.roles ?? roleNames(files);
  cache.roles = known;
  const visit = (name: string, from: Parsed, index: number, path: readonly string[]): void => {
    if (path.includes(name)) {
      const loop = [...path.slice(path.indexOf(name)), name].join(' → ');
      issues.push(issueAt(from, ['roles', index], `role cycle: ${loop}; remove one of these roles`));
      return;
    }
    if (roles.has(name)) return;
    if (!known.has(name)) {
      const near = nearest(name, [...known]);
      const hint = near ? `did you mean \`${near}\`?` : `expected it at roles/${name}`;
      issues.push(issueAt(from, ['roles', index], `there is no role \`${name}\`; ${hint}`));
      return;
    }
    const role = read(`roles/${name}/role.yaml`, roleSettings, true);
    issues.push(...role.issues);
    for (const [i, below] of (role.settings?.roles ?? []).entries())
      if (role.parsed) visit(below, role.parsed, i, [...path, name]);
    roles.set(name, role);
  };
  for (const top of [fleet, host])
    for (const [i, name] of (top.settings?.roles ?? []).entries()) if (top.parsed) visit(name, top.parsed, i, []);

  const vars = new Map<string, Var>();
  const addVars = (from: Settings<{ vars?: Record<string, unknown> | undefined }>, layer: string) => {
    for (const [name, value] of Object.entries(from.settings?.vars ?? {})) {
      const place = from.parsed?.locate(['vars', name]);
      vars.set(name, { value, origin: { file: from.parsed?.file ?? '', line: place?.line ?? 1, layer } });
    }
  };
  addVars(fleet, 'fleet.yaml');
  for (const [name, role] of roles) addVars(role, `roles/${name}`);
  addVars(host, hostPath);
  for (const [name, value] of local) vars.set(name, value);

  return {
    layers: [
      ...[...roles.keys()].map((name): Layer => ({ dir: `roles/${name}`, kind: 'role' })),
      { dir: hostPath, kind: 'host' },
    ],
    fleet: fleet.settings ?? fleetSettings.parse({}),
    host: host.settings ?? hostSettings.parse({}),
    vars,
    saysAgent: [fleet, ...roles.values(), host].some(({ settings }) => settings?.agent !== undefined),
    issues,
  };
}

/** Settings of fleet.yaml; the defaults if the file is missing. */
export function readFleetSettings(files: Files, cache: LayerCache): { settings: FleetSettings; issues: Issue[] } {
  const { settings, issues } = readShared(files, 'fleet.yaml', fleetSettings, cache);
  return { settings: settings ?? fleetSettings.parse({}), issues };
}

function roleNames(files: Files): ReadonlySet<string> {
  const names = new Set<string>();
  for (const file of files.keys()) {
    const end = file.startsWith('roles/') ? file.indexOf('/', 6) : -1;
    if (end !== -1) names.add(file.slice(6, end));
  }
  return names;
}

function readShared<T>(files: Files, file: string, schema: z.ZodType<T>, cache: LayerCache): Settings<T> {
  const known = cache.settings.get(file) as Settings<T> | undefined;
  const found = known ?? readSettings(files, file, schema);
  cache.settings.set(file, found);
  return found;
}

function readSettings<T>(files: Files, file: string, schema: z.ZodType<T>): Settings<T> {
  const bytes = files.get(file);
  if (bytes === undefined) return { parsed: null, settings: null, issues: [] };
  const { text, issue } = textOrIssue(file, bytes);
  const refused = (wrong: Issue): Settings<T> => ({ parsed: null, settings: null, issues: [wrong] });
  if (encryptionOf(file, bytes) !== null) {
    const message = notReadable(file, 'settings are read without a key');
    return refused({ file, line: 1, column: 1, key: '', severity: 'error', message });
  }
  if (issue) return refused(issue);
  const parsed = parseYaml(file, text);
  if (parsed.issues.length > 0) return { parsed, settings: null, issues: parsed.issues };
  const value = parsed.value ?? {};
  const checked = check(schema, parsed, value);
  return checked.ok
    ? { parsed, settings: checked.value, issues: [] }
    : { parsed, settings: null, issues: checked.issues };
}
