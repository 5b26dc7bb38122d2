/** systemd units: files in /etc/systemd/system, states through D-Bus jobs, one daemon-reload for all changes of a run. */
import type { Provider, Work } from '../../core/provider.ts';
import type { ResourceId, Seen } from '../../core/types.ts';
import { type AgentError, asAgentError } from '../../errors.ts';
import type { Clock } from '../../system/clock.ts';
import type { Exec } from '../../system/exec.ts';
import type { Files } from '../../system/files/files.ts';
import { createLanes } from '../../system/side-by-side.ts';
import type { Systemd } from '../../system/systemd/systemd.ts';
import type { Originals } from '../file/act/originals.ts';
import type { Reloads } from '../file/act/reloads.ts';
import { diffUnit, followsText, healthOf, isUp, LOADED, ONESHOT, type UnitFact } from './diff.ts';
import { createUnitFacts } from './facts.ts';
import { createUnitAnswers, createUnitReader, dropinDir, fileOf, UNASKED } from './files.ts';
import { installUnits } from './install.ts';
import { createUnitJobs } from './jobs.ts';
import { leftOf, removeUnits } from './remove.ts';
import type { UnitSpec } from './spec.ts';
import { verifyUnits } from './verify.ts';

export interface UnitProviderOptions {
  systemd: Systemd;
  reloads: Reloads;
  files: Files;
  originals: Originals;
  exec: Exec;
  clock: Clock;
  /** Directory on the host that only root can read, in which new units are verified. */
  stagingDir: string;
  /** Whether fairlead created the unit's file, according to the inventory. */
  owned(id: ResourceId): boolean;
  /** Removes secrets from the output of a unit. */
  redact?: ((text: string) => string) | undefined;
}

type UnitWork = Work<UnitSpec, UnitFact>;
const templateOf = (name: string): ResourceId => `unit:${name.replace(/@[^@]+(\.[a-z]+)$/, '@$1')}`;
/** Starting a oneshot takes as long as the oneshot; the type of a unit without declared text is unknown. */
const mayRunLong = ({ state, content, dropins }: UnitSpec): boolean =>
  state === 'started' &&
  [content ?? 'Type=oneshot', ...Object.values(dropins ?? {})].some((text) => ONESHOT.test(text));
const nameOf = (id: ResourceId) => id.slice('unit:'.length);

/** Programs that look at a unit and run at the same time: one commit may break hundreds of units. */
const PROGRAMS = 4;

export function createUnitProvider(given: UnitProviderOptions): Provider<UnitSpec, UnitFact> {
  const inLane = createLanes(PROGRAMS);
  const options = { ...given, exec: (...call: Parameters<Exec>) => inLane(() => given.exec(...call)) };
  const { systemd, reloads, originals, exec, redact } = options;
  const answers = createUnitAnswers(options);
  const readOnDisk = createUnitReader(options);
  const job = createUnitJobs({ ...options, isDeclared: (name) => declared.has(`unit:${name}`) });
  /** Everything that is declared, from the last observation. */
  let declared: ReadonlySet<ResourceId> = new Set();
  /** Units that were started or restarted in this run: a notify of the same run does nothing more. */
  const fresh = new Set<string>();
  /** Units whose start was skipped because a condition did not hold; systemd itself forgets that. */
  const skipped = new Set<string>();
  const facts = createUnitFacts({ systemd, exec, redact, skipped });

  const provider: Provider<UnitSpec, UnitFact> = {
    kind: 'unit',
    claims: ({ name, content, masked, dropins }) => [
      `unit:${name}`,
      ...(content === undefined && !masked ? [] : [`path:${fileOf(name)}`]),
      ...Object.keys(dropins ?? {}).map((file) => `path:${dropinDir(name)}/${file}`),
    ],
    owns: (spec) => spec.content !== undefined || spec.dropins !== undefined || spec.masked === true,
    diff: diffUnit,
    health: healthOf,
    patienceMs: (_want, seen) => seen?.fact.startTimeoutMs ?? null,
    async observe(ids, _signal, wants, { healthAlone = false } = {}) {
      await reloads.flush();
      if (wants && !healthAlone) declared = new Set(wants.keys());
      if (!healthAlone) fresh.clear();
      const names = ids.map(nameOf);
      const rows = await systemd.list(names);
      const asked = healthAlone ? null : await answers.of(rows);
      const disk = readOnDisk(names);
      const seen = new Map<ResourceId, Seen<UnitFact>>();
      await Promise.all(
        ids.map(async (id, i) => {
          const row = rows[i];
          const onDisk = disk.get(nameOf(id));
          const answer = asked?.get(nameOf(id)) ?? UNASKED;
          if (row === undefined || onDisk === undefined) return;
          const ours = originals.paths(id);
          const exists = row.load !== 'not-found' || onDisk.sha256 !== null || answer.file !== '' || ours.length > 0;
          if (exists) seen.set(id, { fact: await facts.of(row, onDisk, { ...answer, ours }) });
        }),
      );
      return seen;
    },
    prepare: (work) => verifyUnits(options, work, declared),
    async install(work) {
      answers.forget();
      return reloads.during(installUnits(options, work));
    },
    waits: mayRunLong,
    together: ['apply', 'remove'],
    // All jobs are queued at once, because systemd knows their order.
    async apply(work, signal) {
      const failures = new Map<ResourceId, AgentError>();
      await reloads.flush();
      await Promise.all(
        work.map((one) =>
          change(one, signal).catch((thrown) => {
            const resource = one.want.id;
            failures.set(resource, asAgentError(thrown, { code: 'ApplyFailed', phase: 'apply', resource }));
          }),
        ),
      );
      return failures;
    },
    async refresh({ spec }, signal, verb = 'restart', report, sources = []) {
      if (spec.state === 'stopped' || spec.masked || fresh.delete(spec.name)) return;
      await reloads.flush();
      // A changed template changes the text of its instances, but stops none that is still starting.
      const template = templateOf(spec.name);
      const [row] = sources.length > 0 && sources.every((id) => id === template) ? await systemd.list([spec.name]) : [];
      if (row?.active === 'activating') {
        report?.({
          field: 'restart',
          to: `not restarted: it is activating (${row.sub}) and continues with its former file`,
        });
        return;
      }
      if (row !== undefined && verb === 'restart' && !spec.restartsRemaining && (await facts.remains(row))) {
        report?.({ field: 'restart', to: 'not restarted: a oneshot that ran is not stopped since its text changed' });
        return;
      }
      // A notify does not start a unit that is not declared as started.
      const tried = spec.state !== 'started';
      if (verb === 'reload') await job(tried ? 'ReloadOrTryRestartUnit' : 'ReloadOrRestartUnit', spec.name, signal);
      else if (tried) await job('TryRestartUnit', spec.name, signal);
      else await restart(spec.name, signal);
    },
    leaves: (gone) => leftOf(options, gone),
    texts({ spec }) {
      if (spec.secret) return [];
      const pair = (path: string, text: string) => ({ name: path, from: readIfThere(path), to: Buffer.from(text) });
      return [
        ...(spec.content === undefined ? [] : [pair(fileOf(spec.name), spec.content)]),
        ...Object.entries(spec.dropins ?? {}).map(([file, text]) => pair(`${dropinDir(spec.name)}/${file}`, text)),
      ];
    },
    async remove(gone, signal, report) {
      answers.forget();
      const failures = new Map<ResourceId, AgentError>();
      try {
        await removeUnits({ ...options, job }, gone, { failures, signal, ...(report ? { report } : {}) });
      } catch (thrown) {
        for (const { id: resource } of gone)
          failures.set(resource, asAgentError(thrown, { code: 'RemoveFailed', phase: 'apply', resource }));
      }
      return failures;
    },
  };
  return provider;

  function readIfThere(path: string): Buffer | null {
    return options.files.stat(path)?.type === 'file' ? options.files.read(path) : null;
  }

  async function change({ change, want: { spec }, seen, report }: UnitWork, signal: AbortSignal): Promise<void> {
    if (change.op === 'none' || change.why.every((r) => r.field === LOADED)) return;
    const { name } = spec;
    const running = seen !== undefined && isUp(seen.fact);
    const changed = change.why.some((r) => /^(content|restart|dropins\.)/.test(r.field));
    if (spec.state === 'stopped' || spec.masked) {
      if (seen && seen.fact.active !== 'inactive') await job('StopUnit', name, signal);
    } else if (running && changed) {
      const { verb, because } = followsText(spec, seen.fact);
      if (verb === 'restart') {
        await restart(name, signal);
        fresh.add(name);
      } else if (verb === 'reload') await job('ReloadOrRestartUnit', name, signal);
      else if (because !== '') report?.({ field: 'restart', to: `not restarted: ${because}` });
    } else if (spec.state === 'started' && !running) {
      if (await startUnlessSkipped(name, signal))
        report?.({ field: 'state', to: 'not started: a condition of the unit does not hold (see `systemctl cat`)' });
      fresh.add(name);
    }
  }

  /** @returns whether the start was skipped because a condition did not hold: systemd.unit(5) */
  async function startUnlessSkipped(name: string, signal: AbortSignal): Promise<boolean> {
    skipped.delete(name);
    await systemd.keep(name);
    try {
      await job('StartUnit', name, signal);
      const [row] = await systemd.list([name]);
      if (row === undefined || row.path === '' || row.active !== 'inactive') return false;
      const [asked, holds] = await Promise.all([
        systemd.property(row.path, 'Unit', 'ConditionTimestamp', 0).then(Number),
        systemd.property(row.path, 'Unit', 'ConditionResult', true),
      ]);
      if (asked > 0 && !holds) skipped.add(name);
      return skipped.has(name);
    } finally {
      await systemd.release(name);
    }
  }

  /** systemd does not start a socket while its service runs, so the service is stopped first. */
  async function restart(name: string, signal: AbortSignal): Promise<void> {
    const [socket] = name.endsWith('.socket') ? await systemd.list([name]) : [];
    const triggers = socket?.path ? await systemd.property<string[]>(socket.path, 'Unit', 'Triggers', []) : [];
    const services = (await systemd.list(triggers)).filter((r) => r.active === 'active');
    for (const service of services) await job('StopUnit', service.name, signal);
    await job('RestartUnit', name, signal);
    for (const service of services) await job('StartUnit', service.name, signal);
  }
}
