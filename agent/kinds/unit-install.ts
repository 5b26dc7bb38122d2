/** Puts the files and links of all changed units in place, then has systemd read them: once. */
import type { Work } from '../core/provider.ts';
import type { UnitSpec } from '../core/specs.ts';
import type { ResourceId } from '../core/types.ts';
import { AgentError, asAgentError } from '../errors.ts';
import type { UnitProviderOptions } from './unit.ts';
import { isEnabled, leftOver, type UnitFact } from './unit-diff.ts';
import { dropinDir, fileOf, sha256 } from './unit-files.ts';

type UnitWork = Work<UnitSpec, UnitFact>;

const META = { mode: 0o644, uid: 0, gid: 0 };
const SECRET_META = { ...META, mode: 0o600 };
const encode = (text: string) => new TextEncoder().encode(text);

/** @returns failures by id */
export async function installUnits(
  options: UnitProviderOptions,
  work: readonly UnitWork[],
): Promise<ReadonlyMap<ResourceId, AgentError>> {
  const failures = new Map<ResourceId, AgentError>();
  const attempt = async (one: UnitWork, what: (one: UnitWork) => Promise<boolean>) => {
    const resource = one.want.id;
    if (failures.has(resource)) return;
    try {
      reload = (await what(one)) || reload;
    } catch (thrown) {
      failures.set(resource, asAgentError(thrown, { code: 'InstallFailed', phase: 'apply', resource }));
    }
  };
  let reload = work.some((w) => w.seen?.fact.needReload);
  await Promise.all(work.map((one) => attempt(one, (w) => putFiles(options, w))));
  // Enabling makes systemd's view outdated as well (NeedDaemonReload), so it comes before the one reload.
  for (const one of work) await attempt(one, (w) => setEnabled(options, w));
  if (reload) await options.systemd.reload();
  return failures;
}

/** @returns whether anything changed on disk */
async function putFiles({ files, originals }: UnitProviderOptions, { want, seen }: UnitWork): Promise<boolean> {
  const { name, content, dropins, masked } = want.spec;
  const fact = seen?.fact;
  const texts = new Map<string, string>();
  if (content !== undefined && fact?.sha256 !== sha256(content)) texts.set(fileOf(name), content);
  for (const [file, text] of Object.entries(dropins ?? {}))
    if (fact?.dropins[file] !== sha256(text)) texts.set(`${dropinDir(name)}/${file}`, text);
  const mask = masked === true && !fact?.maskedHere;
  const unmask = masked === false && fact?.maskedHere === true;
  const old = leftOver(want.spec, originals.paths(want.id));

  await originals.keep(want.id, [...texts.keys(), ...(mask ? [fileOf(name)] : [])]);
  for (const [path, text] of texts) await files.write(path, encode(text), want.spec.secret ? SECRET_META : META);
  // The very link that `systemctl mask` makes, which alone would not take the place of a file.
  if (mask) files.link(fileOf(name), '/dev/null');
  for (const path of old) await originals.release(want.id, path);
  if (unmask && !old.includes(fileOf(name))) files.remove(fileOf(name));
  if (old.length > 0) files.remove(dropinDir(name));
  return texts.size > 0 || mask || unmask || old.length > 0;
}

/** The links that systemctl enable and disable make, by systemd itself. @returns whether they may have changed */
async function setEnabled({ systemd }: UnitProviderOptions, { want, change, seen }: UnitWork): Promise<boolean> {
  const { name, enabled, content } = want.spec;
  if (enabled === undefined) return false;
  const fact = seen?.fact;
  if (!enabled) {
    if (!isEnabled(fact) || fact?.file === 'static') return false;
    await systemd.disable(name);
    return true;
  }
  // A changed [Install] section means other links.
  const rewritten = content !== undefined && change.op !== 'none' && change.why.some((r) => r.field === 'content');
  if (isEnabled(fact) && !rewritten) return false;
  const installable = isEnabled(fact) ? await systemd.reenable(name) : await systemd.enable(name);
  if (!installable) throw notInstallable(name);
  return true;
}

const notInstallable = (name: string) =>
  new AgentError({
    code: 'NotInstallable',
    phase: 'apply',
    message: `${name} cannot be enabled: it has no [Install] section; add one with WantedBy=, or drop \`enabled\``,
  });
