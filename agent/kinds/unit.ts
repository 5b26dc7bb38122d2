/** systemd units. Files in /etc/systemd/system; states through D-Bus jobs; one daemon-reload a run. */
import { createHash } from 'node:crypto';
import type { Health, Provider, Work } from '../core/provider.ts';
import type { UnitSpec } from '../core/specs.ts';
import type { Change, Desired, Reason, ResourceId, Seen } from '../core/types.ts';
import { AgentError, asAgentError } from '../errors.ts';
import type { Exec } from '../system/exec.ts';
import type { Files } from '../system/files.ts';
import type { JobVerb, Systemd, UnitState } from '../system/systemd.ts';
import { verifyUnits } from './unit-verify.ts';

export interface UnitFact extends UnitState {
  /** Hex, of the file in /etc/systemd/system; null where there is none. */
  sha256: string | null;
}

export interface UnitProviderOptions {
  systemd: Systemd;
  files: Files;
  exec: Exec;
  /** Root-only directory on the host where candidate units are verified. */
  stagingDir: string;
  /** Whether fairlead made the unit's file, as the inventory knows. */
  owned(id: ResourceId): boolean;
}

type UnitWork = Work<UnitSpec, UnitFact>;

const DIR = '/etc/systemd/system';
const fileOf = (name: string) => `${DIR}/${name}`;
const nameOf = (id: ResourceId) => id.slice('unit:'.length);
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const META = { mode: 0o644, uid: 0, gid: 0 };
const SECRET_META = { ...META, mode: 0o600 };
/** Unit file states that are as good as enabled, or can be neither. systemctl(1), is-enabled. */
const ENABLED = ['enabled', 'enabled-runtime', 'static', 'alias', 'generated', 'indirect'];

export function createUnitProvider(options: UnitProviderOptions): Provider<UnitSpec, UnitFact> {
  const { systemd, files } = options;
  const job = async (verb: JobVerb, name: string) => {
    // Six starts in ten seconds are refused; a start of ours must not be the victim of that count.
    if (verb !== 'StopUnit') await systemd.resetFailed(name);
    const result = await systemd.job(verb, name);
    // What is not there any more has been stopped by somebody else.
    const gone = verb === 'StopUnit' && result === 'not-loaded';
    if (result !== 'done' && result !== 'skipped' && !gone) throw await failure(options, name, verb, result);
  };
  return {
    kind: 'unit',
    claims: (spec) => [`unit:${spec.name}`, ...(spec.content === undefined ? [] : [`path:${fileOf(spec.name)}`])],
    owns: (spec) => spec.content !== undefined,
    diff,
    health,
    async observe(ids) {
      const states = await systemd.units(ids.map(nameOf));
      const seen = new Map<ResourceId, Seen<UnitFact>>();
      for (const [i, id] of ids.entries()) {
        const state = states[i];
        const stat = files.stat(fileOf(nameOf(id)));
        const content = stat?.type === 'file' ? sha256(files.read(fileOf(nameOf(id))).toString('utf8')) : null;
        if (state && (state.load !== 'not-found' || content !== null))
          seen.set(id, { fact: { ...state, sha256: content } });
      }
      return seen;
    },
    prepare: (work) => verifyUnits(options, work),
    async install(work) {
      const failures = new Map<ResourceId, AgentError>();
      let reload = false;
      for (const { want, seen } of work) {
        const { spec } = want;
        if (spec.content !== undefined && seen?.fact.sha256 !== sha256(spec.content)) {
          files.write(fileOf(spec.name), new TextEncoder().encode(spec.content), spec.secret ? SECRET_META : META);
          reload = true;
        }
        reload ||= seen?.fact.needReload ?? false;
      }
      // Enabling makes systemd's view outdated as well (NeedDaemonReload), so it comes before the one reload.
      for (const { want, seen } of work) {
        const { name, enabled } = want.spec;
        const is = ENABLED.includes(seen?.fact.file ?? '');
        if (enabled === undefined || enabled === is || seen?.fact.file === 'static') continue;
        reload = true;
        try {
          if (!enabled) await systemd.disable(name);
          else if (!(await systemd.enable(name))) failures.set(want.id, notInstallable(name));
        } catch (thrown) {
          failures.set(want.id, asAgentError(thrown, { code: 'EnableFailed', phase: 'apply', resource: want.id }));
        }
      }
      if (reload) await systemd.reload();
      return failures;
    },
    async apply({ change, want, seen }: UnitWork) {
      if (change.op === 'none') return;
      const { spec } = want;
      const { name } = spec;
      const running =
        seen?.fact.active === 'active' || seen?.fact.active === 'reloading' || seen?.fact.active === 'activating';
      const changed = change.why.some((r) => r.field === 'content' || r.field === 'restart');
      if (spec.state === 'stopped') {
        if (seen && seen.fact.active !== 'inactive') await job('StopUnit', name);
      } else if (running && changed && spec.onChange !== 'none')
        await job(spec.onChange === 'reload' ? 'ReloadOrRestartUnit' : 'RestartUnit', name);
      else if (spec.state === 'started' && !running) await job('StartUnit', name);
    },
    async refresh(want) {
      if (want.spec.state !== 'stopped') await job('RestartUnit', want.spec.name);
    },
    async remove(id, seen) {
      if (!options.owned(id)) return;
      const name = nameOf(id);
      if (seen.fact.load === 'loaded' && seen.fact.active !== 'inactive') await job('StopUnit', name);
      if (seen.fact.sha256 !== null) {
        await systemd.disable(name);
        files.remove(fileOf(name));
        await systemd.reload();
      }
      await systemd.resetFailed(name);
    },
  };
}

/** Pure. */
function diff(want: Desired<UnitSpec>, seen: Seen<UnitFact> | undefined): Change {
  const { spec } = want;
  const fact = seen?.fact;
  if (fact === undefined)
    return { op: 'create', why: [{ field: 'state', from: 'missing', to: spec.state ?? 'installed' }] };
  const why: Reason[] = [];
  const wanted = spec.content === undefined ? null : sha256(spec.content);
  if (wanted !== null && fact.sha256 !== wanted) {
    why.push(
      spec.secret
        ? { field: 'content', to: '(secret changed)' }
        : {
            field: 'content',
            from: fact.sha256 === null ? 'none' : `sha256 ${fact.sha256.slice(0, 12)}`,
            to: `sha256 ${wanted.slice(0, 12)}`,
          },
    );
  }
  const enabled = ENABLED.includes(fact.file);
  if (spec.enabled === true && !enabled) why.push({ field: 'enabled', from: fact.file || 'disabled', to: 'enabled' });
  if (spec.enabled === false && enabled && fact.file !== 'static')
    why.push({ field: 'enabled', from: fact.file, to: 'disabled' });
  if (spec.state === 'started' && !isUp(fact) && !isCompleted(fact))
    why.push({ field: 'state', from: `${fact.active} (${fact.sub})`, to: 'started' });
  if (spec.state === 'stopped' && fact.active !== 'inactive' && fact.active !== 'failed')
    why.push({ field: 'state', from: fact.active, to: 'stopped' });
  const interrupted = seen?.mark !== undefined && seen.mark.hash !== seen.mark.intent && seen.mark.intent === want.hash;
  if (interrupted && isUp(fact) && spec.onChange !== 'none' && why.length === 0) {
    why.push({ field: 'restart', from: 'changed on disk, not restarted yet', to: 'restarted' });
  }
  if (fact.needReload && why.length === 0)
    why.push({ field: 'restart', from: 'changed on disk, not loaded yet', to: 'loaded' });
  return why.length === 0 ? { op: 'none' } : { op: 'update', why };
}

const isUp = (fact: UnitFact): boolean => ['active', 'activating', 'reloading', 'refreshing'].includes(fact.active);
/** A oneshot service that ran to its end, and needs to run again only when it changes. */
const isCompleted = (fact: UnitFact): boolean =>
  fact.active === 'inactive' && fact.type === 'oneshot' && fact.result === 'success' && fact.startedAt > 0;

function health({ spec }: Desired<UnitSpec>, seen: Seen<UnitFact> | undefined): Health {
  const fact = seen?.fact;
  if (fact === undefined) return { state: 'bad', message: 'the unit does not exist' };
  if (fact.active === 'failed')
    return {
      state: 'bad',
      message: `failed: ${fact.result}${fact.exitStatus ? `, exit status ${fact.exitStatus}` : ''}`,
    };
  if (spec.state !== 'started' || isCompleted(fact)) return { state: 'ok', message: '' };
  if (fact.active === 'active') return { state: 'ok', message: '' };
  if (fact.active === 'activating' || fact.active === 'reloading')
    return { state: 'wait', message: `${fact.active} (${fact.sub})` };
  return { state: 'bad', message: `is ${fact.active} (${fact.sub})` };
}

async function failure(
  { exec }: UnitProviderOptions,
  name: string,
  verb: JobVerb,
  result: string,
): Promise<AgentError> {
  const { stdout } = await exec(['journalctl', '--no-pager', '-u', name, '-n', '5', '-o', 'cat'], {
    timeoutMs: 10_000,
  });
  const lines = stdout.trim().split('\n').filter(Boolean).join(' | ');
  return new AgentError({
    code: 'UnitFailed',
    phase: 'apply',
    resource: `unit:${name}`,
    message: `${verb.replace('Unit', '').toLowerCase()} of ${name} ended as ${result}${lines ? `; its journal: ${lines}` : ''}; see \`systemctl status ${name}\``,
  });
}

const notInstallable = (name: string) =>
  new AgentError({
    code: 'NotInstallable',
    phase: 'apply',
    message: `${name} cannot be enabled: it has no [Install] section; add one with WantedBy=, or drop \`enabled\``,
  });
