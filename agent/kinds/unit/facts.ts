/** Reads the state of a unit from systemd, with as few queries as its state allows. */
import type { Exec } from '../../system/exec.ts';
import type { Systemd, UnitRow } from '../../system/systemd/systemd.ts';
import { isRemaining, type UnitFact } from './diff.ts';
import { exitStatusOf } from './exit-status.ts';
import { hasExited, typeOf, type UnitAnswer, type UnitOnDisk } from './files.ts';
import { journalOf } from './jobs.ts';

/** systemd reports `infinity` as a larger value than this. */
const LONGEST_US = 2 ** 53;

interface UnitFactsOptions {
  systemd: Systemd;
  exec: Exec;
  /** Removes secrets from the output of a unit. */
  redact?: ((text: string) => string) | undefined;
  /** Names of units whose last start was skipped, because a condition did not hold. */
  skipped: ReadonlySet<string>;
}

export function createUnitFacts({ systemd, exec, redact, skipped }: UnitFactsOptions) {
  return { of, remains };

  /** systemd checks conditions only when it starts a unit; systemd-analyze(1) evaluates them without a start. */
  async function holdsNow(name: string): Promise<boolean> {
    const { code } = await exec(['systemd-analyze', 'condition', `--unit=${name}`]);
    return code === 0;
  }

  /** Whether it is a oneshot that completed and remains active. */
  async function remains(row: UnitRow): Promise<boolean> {
    return row.sub === 'exited' && isRemaining({}, { ...row, type: await typeOf(systemd, row) });
  }

  async function of(row: UnitRow, disk: UnitOnDisk, more: UnitAnswer & Pick<UnitFact, 'ours'>): Promise<UnitFact> {
    const { name, load, active, sub, path } = row;
    const fact: UnitFact = {
      name,
      load,
      active,
      sub,
      ...disk,
      ...more,
      result: '',
      exitStatus: 0,
      type: more.type ?? (hasExited(row) ? await typeOf(systemd, row) : ''),
      remains: false,
      startedAt: 0,
      skipped: false,
      log: '',
    };
    if (path !== '' && active === 'activating') {
      const us = Number(await systemd.property(path, 'Service', 'TimeoutStartUSec', 0));
      if (us > 0 && us < LONGEST_US) fact.startTimeoutMs = us / 1_000;
    }
    // A unit that is active, or not loaded, has no result to read.
    if (path === '' || load !== 'loaded' || !['inactive', 'failed'].includes(active)) return fact;
    const suffix = name.slice(name.lastIndexOf('.') + 1);
    const iface = suffix.charAt(0).toUpperCase() + suffix.slice(1);
    const get = <T>(property: string, otherwise: T) => systemd.property<T>(path, iface, property, otherwise);
    fact.result = await get('Result', '');
    if (active === 'inactive' && skipped.has(name)) fact.skipped = (await holdsNow(name)) ? 'over' : 'still';
    if (suffix === 'service')
      [fact.exitStatus, fact.type, fact.remains, fact.startedAt] = await Promise.all([
        active === 'failed' ? exitStatusOf(systemd, path) : get('ExecMainStatus', 0),
        get('Type', ''),
        get('RemainAfterExit', false),
        get('ExecMainStartTimestamp', 0).then(Number),
      ]);
    if (active === 'failed') fact.log = await journalOf({ exec, systemd, redact }, row);
    return fact;
  }
}
