/** Removes units with everything that belongs to them: links, drop-ins, failed states; and restores the originals. */
import type { Gone, RemovalReport } from '../../core/provider.ts';
import type { Reason, ResourceId } from '../../core/types.ts';
import { AgentError, asAgentError } from '../../errors.ts';
import type { UnitFact } from './diff.ts';
import { dropinDir, fileOf } from './files.ts';
import type { UnitJob } from './jobs.ts';
import type { UnitProviderOptions } from './provider.ts';

interface Leaving {
  id: ResourceId;
  name: string;
  seen: UnitFact;
  /** Whether nothing of the unit remains on the host. */
  vanishes: boolean;
  /** Whether its file was created by a version that did not record originals. */
  unrecorded: boolean;
}

interface Removing {
  /** Receives the failures. */
  failures: Map<ResourceId, AgentError>;
  signal: AbortSignal;
  report?: RemovalReport;
}

/** Units that start others are removed first, so that nothing is started again meanwhile. */
const STARTERS = /\.(socket|timer|path|automount)$/;
const VENDOR = [
  '/run/systemd/system',
  '/usr/local/lib/systemd/system',
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
];

export async function removeUnits(
  options: UnitProviderOptions & { job: UnitJob },
  gone: readonly Gone<UnitFact>[],
  { failures, signal, report }: Removing,
): Promise<void> {
  const { systemd, files, originals, job } = options;
  const leaving = gone
    .flatMap((one) => {
      const found = judge(options, one);
      if (found === undefined) report?.(one.id, onlyItsState(one.id), 'stays');
      return found ? [found] : [];
    })
    .sort((a, b) => Number(STARTERS.test(b.name)) - Number(STARTERS.test(a.name)));
  const attempt = async (id: ResourceId, what: () => Promise<unknown>) => {
    if (failures.has(id)) return;
    try {
      await what();
    } catch (thrown) {
      failures.set(id, asAgentError(thrown, { code: 'RemoveFailed', phase: 'apply', resource: id }));
    }
  };

  for (const { id, name, vanishes } of leaving)
    await attempt(id, async () => {
      if (!vanishes) return;
      for (const instance of await running(options, name)) await job('StopUnit', instance, signal);
      await systemd.disable(name);
    });
  for (const { id, name, unrecorded } of leaving)
    await attempt(id, async () => {
      if (unrecorded) files.remove(fileOf(name));
      if ((await originals.restore(id)) === 'occupied') throw occupied(name);
      files.remove(dropinDir(name));
    });
  if (leaving.some(({ id }) => !failures.has(id))) await systemd.reload();
  for (const { id, name, vanishes, seen } of leaving)
    await attempt(id, async () => {
      if (vanishes) await systemd.resetFailed(name);
      // The unit continues with its original files.
      else if (seen.active === 'active') await job('TryRestartUnit', name, signal);
    });
}

const onlyItsState = (id: ResourceId): Reason => ({
  field: 'unit',
  to: `${id.slice('unit:'.length)} stays as it is: only its state was declared`,
});

/** The part of a unit that remains when it is no longer declared; null if nothing does. */
export function leftOf(options: UnitProviderOptions, gone: Gone<UnitFact>): Reason | null {
  const name = gone.id.slice('unit:'.length);
  const leaving = judge(options, gone);
  if (leaving === undefined) return onlyItsState(gone.id);
  if (leaving.vanishes) return null;
  const own = options.originals.paths(gone.id).filter((path) => path !== fileOf(name));
  const parts = own.map((path) => path.slice(path.lastIndexOf('/') + 1)).join(', ');
  return { field: 'unit', to: `${name} stays${parts ? `; only ${parts} is removed` : ', as it was before fairlead'}` };
}

/** undefined if only a state of a foreign unit was declared, or if everything was restored already. */
function judge({ files, originals, owned }: UnitProviderOptions, { id, seen }: Gone<UnitFact>): Leaving | undefined {
  const name = id.slice('unit:'.length);
  const paths = originals.paths(id);
  const { fact } = seen;
  const template = /^(.*)@[^@]+(\.[a-z]+)$/.exec(name);
  // An instance of one of our templates exists only because of its entry.
  const instance = template !== null && originals.paths(`unit:${template[1]}@${template[2]}`).length > 0;
  const unrecorded = paths.length === 0 && fact.sha256 !== null && owned(id) && !originals.restored(id);
  // Everything was restored, but the run was interrupted: systemd may not have read the files yet, or the unit may need a
  // restart.
  const isUnheard = originals.restored(id) && owned(id);
  if (paths.length === 0 && !unrecorded && !instance && !isUnheard) return undefined;
  const vendor = VENDOR.some((dir) => files.stat(`${dir}/${name}`) !== undefined);
  // The record remains after its content was restored.
  const wasNothing = originals.wasNothing(id, fileOf(name));
  const made = unrecorded || wasNothing;
  return { id, name, seen: fact, vanishes: instance || (made && !vendor && !fact.maskedHere), unrecorded };
}

/** The unit itself, or all instances of a template. */
async function running({ systemd }: UnitProviderOptions, name: string): Promise<string[]> {
  const template = /^(.*@)(\.[a-z]+)$/.exec(name);
  if (template) return systemd.running(`${template[1]}*${template[2]}`);
  const [row] = await systemd.list([name]);
  return row && row.path !== '' && row.active !== 'inactive' && row.active !== 'failed' ? [name] : [];
}

const occupied = (name: string) =>
  new AgentError({
    code: 'PathOccupied',
    phase: 'apply',
    message: `something else is in the way of a file of ${name} in /etc/systemd/system; remove it by hand if it can go`,
  });
