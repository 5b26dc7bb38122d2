/** Installs the files and links of all changed units, and then lets systemd read them once. */
import path from 'node:path';
import { locatorOf } from '../../core/id.ts';
import type { Work } from '../../core/provider.ts';
import type { ResourceId } from '../../core/types.ts';
import { AgentError, asAgentError } from '../../errors.ts';
import type { Systemd } from '../../system/systemd/systemd.ts';
import { isGeneratorInput } from '../file/generators.ts';
import { isInterrupted, leftOver, type UnitFact } from './diff.ts';
import { isOff, whyNot, withoutEffect } from './enablement.ts';
import { dropinDir, fileOf, sha256, UNIT_DIRS } from './files.ts';
import { notFound } from './jobs.ts';
import type { UnitProviderOptions } from './provider.ts';
import type { UnitSpec } from './spec.ts';

type UnitWork = Work<UnitSpec, UnitFact>;

const META = { mode: 0o644, uid: 0, gid: 0 };
const SECRET_META = { ...META, mode: 0o600 };
const encode = (text: string) => new TextEncoder().encode(text);

/** The change of a unit's files. */
interface FilePlan {
  work: UnitWork;
  /** Path → new content. */
  texts: ReadonlyMap<string, string>;
  mask: boolean;
  unmask: boolean;
  /** Paths that fairlead created and that are no longer declared. */
  old: readonly string[];
}

/** @returns failures by id */
export async function installUnits(
  options: UnitProviderOptions,
  work: readonly UnitWork[],
): Promise<ReadonlyMap<ResourceId, AgentError>> {
  const failures = new Map<ResourceId, AgentError>();
  const fail = (resource: ResourceId, thrown: unknown) =>
    void failures.set(resource, asAgentError(thrown, { code: 'InstallFailed', phase: 'apply', resource }));
  const put = await putFiles(options, work, fail);
  // Enabling also makes systemd's view outdated (NeedDaemonReload), so it comes before the single reload.
  const enabled = await setEnabled(
    options,
    work.filter((w) => !failures.has(w.want.id)),
    fail,
  );
  const isOutdated = work.some(({ want, seen }) => seen?.fact.needReload || isInterrupted(want, seen));
  if (put || enabled || isOutdated) await options.reloads.request();
  return failures;
}

/** Keeps all originals, then writes all files, then makes links and removals. @returns whether anything changed on disk */
async function putFiles(
  { files, originals }: UnitProviderOptions,
  work: readonly UnitWork[],
  fail: (id: ResourceId, thrown: unknown) => void,
): Promise<boolean> {
  const plans = new Map(work.map((one) => [one.want.id, planFiles(one, originals.paths(one.want.id))]));
  const drop = (id: ResourceId, thrown: unknown) => {
    fail(id, thrown);
    plans.delete(id);
  };
  const taken = [...plans].map(([id, { work: one, texts, mask }]): [ResourceId, string[]] => [
    id,
    [...texts.keys(), ...(mask ? [fileOf(one.want.spec.name)] : [])],
  ]);
  for (const [id, thrown] of await originals.keepAll(new Map(taken))) drop(id, thrown);
  const owners = new Map<string, ResourceId>();
  const writes = [...plans].flatMap(([id, { work: one, texts }]) =>
    [...texts].map(([file, text]) => {
      owners.set(file, id);
      return { file, content: encode(text), options: one.want.spec.secret ? SECRET_META : META };
    }),
  );
  let changed = writes.length > 0;
  for (const [file, thrown] of (await files.writeAll(writes)).failed) drop(owners.get(file) ?? 'unit:', thrown);
  for (const [id, { work: one, mask, unmask, old }] of plans) {
    const { name } = one.want.spec;
    try {
      // Like `systemctl mask`, which by itself does not replace a file.
      if (mask) files.link(fileOf(name), '/dev/null');
      for (const path of old) await originals.release(id, path);
      if (unmask && !old.includes(fileOf(name))) files.remove(fileOf(name));
      if (old.length > 0) files.remove(dropinDir(name));
      changed ||= mask || unmask || old.length > 0;
    } catch (thrown) {
      fail(id, thrown);
      changed = true;
    }
  }
  return changed;
}

function planFiles(work: UnitWork, ours: readonly string[]): FilePlan {
  const { spec } = work.want;
  const { name, content, dropins, masked } = spec;
  const fact = work.seen?.fact;
  const texts = new Map<string, string>();
  if (content !== undefined && fact?.sha256 !== sha256(content)) texts.set(fileOf(name), content);
  for (const [file, text] of Object.entries(dropins ?? {}))
    if (fact?.dropins[file] !== sha256(text)) texts.set(`${dropinDir(name)}/${file}`, text);
  const mask = masked === true && !fact?.maskedHere;
  const unmask = masked === false && fact?.maskedHere === true;
  return { work, texts, mask, unmask, old: leftOver(spec, ours) };
}

/** Has systemd create and remove the links of systemctl enable and disable. @returns whether they may have changed */
async function setEnabled(
  options: UnitProviderOptions,
  work: readonly UnitWork[],
  fail: (id: ResourceId, thrown: unknown) => void,
): Promise<boolean> {
  const fresh = work.filter(({ want, seen }) => want.spec.enabled === true && seen?.fact.file !== 'enabled');
  const done = await enableTogether(options.systemd, fresh);
  let changed = done.size > 0;
  for (const one of work.filter((w) => !done.has(w.want.id))) {
    try {
      changed = (await setEnabledOne(options, one)) || changed;
    } catch (thrown) {
      fail(one.want.id, thrown);
    }
  }
  return changed;
}

/** One call for many units, because systemd searches all installed units in each call. @returns the units that are done */
async function enableTogether(systemd: Systemd, fresh: readonly UnitWork[]): Promise<ReadonlySet<ResourceId>> {
  if (fresh.length < 2) return new Set();
  try {
    const linked = await systemd.enableAll(fresh.map((w) => w.want.spec.name));
    return new Set(fresh.filter((w) => linked.has(w.want.spec.name)).map((w) => w.want.id));
  } catch {
    // Separate calls show which unit failed.
    return new Set();
  }
}

async function setEnabledOne(options: UnitProviderOptions, { want, change, seen }: UnitWork): Promise<boolean> {
  const { systemd } = options;
  const { spec } = want;
  const { name, enabled, content } = spec;
  if (enabled === undefined) return false;
  // A changed [Install] section means other links.
  const rewritten = content !== undefined && change.op !== 'none' && change.why.some((r) => r.field === 'content');
  const was = seen?.fact.file;
  if (enabled ? was === 'enabled' && !rewritten : was !== undefined && isOff(spec, was) && !rewritten) return false;
  const file = await systemd.fileState(name);
  const source = want.after.map(locatorOf).find(isGeneratorInput);
  if (content === undefined && file === '' && source !== undefined)
    throw notInstallable(name, whyNot(spec, { file: 'generated', realName: '', source }) ?? '');
  if (content === undefined && file === '') throw notFound(name);
  const reason = whyNot(spec, { file, ...(await originOf(options, name, file)) });
  if (reason !== null) throw notInstallable(name, reason);
  if (!enabled) {
    if (isOff(spec, file)) return false;
    await systemd.disable(name);
    const now = await systemd.fileState(name);
    if (!isOff(spec, now)) throw notInstallable(name, withoutEffect(spec, now));
    return true;
  }
  const installable = file === 'enabled' ? await systemd.reenable(name) : await systemd.enable(name);
  if (!installable) throw notInstallable(name, whyNot(spec, { file: 'static', realName: '', source: '' }) ?? '');
  const now = await systemd.fileState(name);
  if (now !== 'enabled' && now !== 'indirect') throw notInstallable(name, withoutEffect(spec, now));
  return true;
}

/** The origin of a unit that is not ours: the unit that an alias refers to, or the file from which a generator made it. */
async function originOf(
  { systemd, files }: UnitProviderOptions,
  name: string,
  file: string,
): Promise<{ realName: string; source: string }> {
  const none = { realName: '', source: '' };
  if (file === 'alias') {
    const link = UNIT_DIRS.map((dir) => `${dir}/${name}`).find((path) => files.stat(path)?.type === 'link');
    return link === undefined ? none : { ...none, realName: path.basename(files.readlink(link)) };
  }
  const [row] = file === 'generated' ? await systemd.list([name]) : [];
  if (row === undefined || row.path === '') return none;
  return { ...none, source: await systemd.property(row.path, 'Unit', 'SourcePath', '') };
}

const notInstallable = (name: string, message: string) =>
  new AgentError({ code: 'NotInstallable', phase: 'apply', resource: `unit:${name}`, message });
