/**
 * Upgrades the agent before anything else of a commit: a head that passed the review may want another version, which then
 * applies the rest. If that version failed on this host, the running agent applies the commit.
 */
import { hostSettings } from '../../../../manifests-schema/host.ts';
import type { ActionRecord, Checkout, Gate, PlannedAction, Problem, ResourceId } from '../../../core/types.ts';
import type { AgentUpgrade, UpgradeResult } from '../../../core/version/agent-upgrade.ts';
import { settingOf, type WantedAgent } from '../../../core/version/agent-wanted.ts';
import { asAgentError } from '../../../errors.ts';
import { chooseUpgrade, upgradeProblem } from '../../decide/upgrade.ts';
import { stillFailing } from '../../steps/backoff.ts';
import { pauseInForce, windowNow } from '../../steps/window.ts';
import type { Outcome, Run } from '../../types.ts';

/** The result of the upgrade step in this run. */
export interface Upgrading {
  /** Why the head waits. */
  gate: Gate | null;
  /** Why the head does not wait although the wanted version is not running. */
  problem: Problem | null;
  /** The upgrade is ordered: it starts when the run has ended. */
  ordered: WantedAgent | null;
}

export const NO_UPGRADE: Upgrading = { gate: null, problem: null, ordered: null };
/** The id under which failures are backed off. */
const BACKOFF = 'agent:' as ResourceId;

/** @param head that passed the review */
export async function upgradeFirst(run: Run, head: Checkout): Promise<Upgrading> {
  const { upgrade } = run;
  const wanted = upgrade?.wanted(head) ?? null;
  if (upgrade === undefined || wanted === null || wanted.version === upgrade.version) return NO_UPGRADE;
  // One at a time: a trial is judged first.
  if (upgrade.pending() !== null || (await isHeldWhole(run, head))) return NO_UPGRADE;
  const sha256 = upgrade.digest(wanted, head.files);
  const choice = chooseUpgrade({
    wanted,
    version: upgrade.version,
    sha256,
    failed: sha256 === null ? null : upgrade.tried(sha256),
    format: await upgrade.format(),
    gate: await gateOf(run, head, wanted),
    force: run.asked.force,
  });
  if (choice.act === 'none') return NO_UPGRADE;
  if (choice.act === 'keep') return { ...NO_UPGRADE, problem: choice.problem };
  if (choice.act === 'wait') return { ...NO_UPGRADE, gate: choice.gate };
  return bring(run, upgrade, head, { wanted, sha256: choice.sha256 });
}

/** The line of a plan about the upgrade, or null. Downloads nothing. */
export async function plannedUpgrade(run: Run, head: Checkout): Promise<PlannedAction | null> {
  const { upgrade } = run;
  const wanted = upgrade?.wanted(head) ?? null;
  if (upgrade === undefined || wanted === null || wanted.version === upgrade.version) return null;
  const sha256 = upgrade.digest(wanted, head.files);
  const failed = sha256 === null ? null : upgrade.tried(sha256);
  const [format, gate] = [await upgrade.format(), await gateOf(run, head, wanted)];
  const choice = chooseUpgrade({ wanted, version: upgrade.version, sha256, failed, format, gate, force: false });
  const held = choice.act === 'keep' ? choice.problem.message : choice.act === 'wait' ? choice.gate.reason : null;
  return {
    id: `${BACKOFF}${wanted.version}` as ResourceId,
    op: 'update',
    why: [{ field: 'version', from: upgrade.version, to: wanted.version }],
    origin: { ...wanted.origin, layer: '' },
    ...(held === null ? {} : { held }),
  };
}

/** A host that is paused or observed as a whole also keeps its agent. */
async function isHeldWhole(run: Run, { files, hostPath }: Checkout): Promise<boolean> {
  const mode = settingOf(files, hostPath, 'mode') ?? 'enforce';
  const leaves = settingOf(files, hostPath, 'decommission') === true;
  return mode !== 'enforce' || leaves || run.store.commits.get().pin !== null || (await pauseInForce(run)) !== null;
}

/** Reads the window separately, because the rest of host.yaml may be for a later version. */
async function gateOf(run: Run, { files, hostPath }: Checkout, { version }: WantedAgent): Promise<Gate | null> {
  const [work] = run.background.left();
  if (work !== undefined)
    return { kind: 'upgrade', reason: `fairlead ${version} takes over when ${work.id} has ended`, until: work.until };
  const said = settingOf(files, hostPath, 'window');
  if (said === undefined || run.asked.force) return null;
  const { data: window } = hostSettings.shape.window.safeParse(said);
  if (window === undefined)
    return {
      kind: 'window',
      reason: `fairlead ${version} waits: this version cannot read \`window\` of host.yaml; \`fairlead sync --force\` does not wait`,
      until: null,
    };
  const state = await windowNow(run, window);
  if (state.open) return null;
  const reason = `fairlead ${version} waits for the maintenance window (${window.schedule}, ${window.timezone ?? 'UTC'})`;
  return { kind: 'window', reason: state.doubt === null ? reason : `${reason}: ${state.doubt}`, until: state.until };
}

async function bring(
  run: Run,
  upgrade: AgentUpgrade,
  head: Checkout,
  { wanted, sha256 }: { wanted: WantedAgent; sha256: string },
): Promise<Upgrading> {
  const { backoff } = run;
  const failed = (thrown: unknown): Upgrading => {
    const error = asAgentError(thrown, { code: 'AgentUpgradeUnfit', phase: 'prepare' });
    const problem = upgradeProblem(wanted, error.code, error.message);
    return { ...NO_UPGRADE, problem: error.until === undefined ? problem : { ...problem, until: error.until } };
  };
  const held = run.asked.trigger === 'manual' ? null : backoff.held(BACKOFF, sha256);
  if (held !== null) return failed(stillFailing(held));
  try {
    run.io.emit({ type: 'phase', phase: 'prepare' });
    const staged = await run.io.yielding(upgrade.stage(wanted, head.files, run.io.signal));
    upgrade.forget(staged.sha256);
    // The repository was read just now, so the new agent must be able to read it as well.
    upgrade.order(staged, ['repository']);
    backoff.well(BACKOFF);
  } catch (thrown) {
    backoff.failed(BACKOFF, sha256, asAgentError(thrown, { code: 'AgentUpgradeUnfit', phase: 'prepare' }));
    return failed(thrown);
  }
  const reason = `fairlead ${wanted.version} takes the place of ${upgrade.version}, and applies commit ${head.info.commit.slice(0, 7)}`;
  return { gate: { kind: 'upgrade', reason, until: null }, problem: null, ordered: wanted };
}

/** The outcome of the run with the upgrade included. */
export function withUpgrade(outcome: Outcome, { gate, problem, ordered }: Upgrading): Outcome {
  if (ordered !== null && gate !== null)
    return {
      ...outcome,
      rejected: false,
      gate,
      // The next version handles what this version cannot read.
      problems: outcome.rejected ? [] : outcome.problems,
      hostStates: ['held'],
      reason: 'AgentUpgrading',
      message: gate.reason,
    };
  if (gate !== null)
    return {
      ...outcome,
      gate: outcome.gate ?? gate,
      hostStates: [...outcome.hostStates, 'held'],
      reason: outcome.reason || (gate.kind === 'window' ? 'WindowClosed' : 'AgentUpgrading'),
      message: outcome.message || gate.reason,
    };
  if (problem === null) return outcome;
  return {
    ...outcome,
    problems: [problem, ...outcome.problems],
    hostStates: [...outcome.hostStates, 'failed'],
    reason: outcome.reason || problem.reason,
    message: outcome.message || problem.message,
  };
}

/**
 * Reports the result of an order once, as an action of this run.
 * @param isOffline this version cannot reach the repository either
 */
export function withResult(run: Run, outcome: Outcome, isOffline: boolean): Outcome {
  const result = run.upgrade?.result() ?? null;
  if (result === null || run.store.facts.get('upgradeTold') === result.at) return outcome;
  run.store.facts.set({ upgradeTold: result.at });
  // If no version can reach the repository, the new version is not at fault: it is tried again when the repository can be read.
  if (result.cause === 'unreachable' && isOffline) run.upgrade?.forget(result.sha256);
  if (result.cause === 'damaged') run.upgrade?.forget(result.sha256);
  return { ...outcome, actions: [...outcome.actions, actionOf(result)] };
}

const actionOf = ({ version, from, verdict, message }: UpgradeResult): ActionRecord => ({
  id: `${BACKOFF}${version}` as ResourceId,
  op: 'update',
  why: [{ field: 'version', from, to: version }],
  result: verdict === 'upgraded' ? 'done' : 'failed',
  drift: false,
  ...(verdict === 'upgraded' ? {} : { error: { code: 'AgentUpgradeFailed' as const, message } }),
  durationMs: 0,
});
