/**
 * Carries out each remote command through the daemon's own API: the same as `fairlead sync`, `plan`, `pause`, `resume`,
 * `rollback` on the host.
 */
import type { CommandDocument, CommandResult } from '../../../manifests-schema/commands.ts';
import type { SyncLine } from '../../core/progress.ts';
import type { CommandOrigin } from '../../core/types.ts';
import type { AgentApi } from '../api.ts';
import { planSummaryOf, statusSummary } from './answers.ts';

export type CarriedOut = Pick<CommandResult, 'state' | 'reason' | 'message'> &
  Partial<Pick<CommandResult, 'status' | 'plan' | 'pause' | 'pin'>> & {
    /** A sentence for the events that says what was held or released. */
    held?: string;
  };

/** Time that the repository and the host have to answer. */
const PLAN_MS = 120_000;

/** Throws AgentError where the command cannot be followed; then nothing was changed. */
export async function carryOut(
  api: Pick<AgentApi, 'plan' | 'hold' | 'sync'>,
  command: CommandDocument,
  origin: CommandOrigin,
): Promise<CarriedOut> {
  const done = { state: 'done', reason: '', message: '' } as const;
  switch (command.command) {
    case 'sync': {
      const { force = false, adopt = false, allowPrune = false } = command.args;
      return run(api, origin, { force, adopt, allowPrune });
    }
    case 'plan': {
      const { commit } = command.args;
      const asked = commit === undefined ? {} : { commit };
      const plan = planSummaryOf(await api.plan(asked, AbortSignal.timeout(PLAN_MS), origin));
      if (plan.error === null) return { ...done, plan };
      return { state: 'failed', reason: 'PlanFailed', message: plan.error, plan };
    }
    case 'pause': {
      const length = command.args.for;
      const asked = { reason: origin.reason, ...(length === undefined ? {} : { for: length }) };
      const { pause } = await api.hold('pause', asked, origin);
      const until = pause?.until ? `until ${pause.until}` : 'until `fairlead resume`';
      const message = `paused ${until}`;
      return { ...done, message, pause: pause && { until: pause.until, reason: pause.reason }, held: message };
    }
    case 'resume': {
      const { pause, pin } = await api.hold('resume', {}, origin);
      const stood = pause && { until: pause.until, reason: pause.reason };
      const ended = [...(pause ? ['the pause'] : []), ...(pin ? [`the pin to ${pin.commit.slice(0, 7)}`] : [])];
      const message = ended.length > 0 ? `ended ${ended.join(' and ')}` : 'the host was neither paused nor pinned';
      return { ...done, message, pause: stood, pin: pin?.commit ?? null, held: `resumed (${message})` };
    }
    case 'rollback': {
      const { commit } = command.args;
      const { pin } = await api.hold(
        'rollback',
        { watched: true, ...(commit === undefined ? {} : { commit }) },
        origin,
      );
      const ended = await run(api, origin, {});
      return { ...ended, pin: pin?.commit ?? null, held: `pinned to ${pin?.commit.slice(0, 7)}` };
    }
  }
}

async function run(
  api: Pick<AgentApi, 'sync'>,
  command: CommandOrigin,
  asked: { force?: boolean; adopt?: boolean; allowPrune?: boolean },
): Promise<CarriedOut> {
  let done: Extract<SyncLine, { type: 'done' }> | null = null;
  const take = (line: SyncLine) => {
    if (line.type === 'done') done = line;
  };
  await api.sync({ ...asked, command }, 'manual', take);
  // TypeScript takes a value that only a callback gives for null.
  const ended = done as Extract<SyncLine, { type: 'done' }> | null;
  if (ended === null)
    return {
      state: 'failed',
      reason: 'Interrupted',
      message: 'the agent ended before the run; the next run continues it',
    };
  const { status, run: record } = ended;
  return { state: 'done', reason: status.reason, message: status.message, status: statusSummary(status, record) };
}
