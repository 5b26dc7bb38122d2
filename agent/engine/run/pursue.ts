/** Converges the host, starting from the commit that the ref names: one loop over the passes that passes.ts decides. */
import { type Asker, type Choice, choose, type Pin } from '../../core/plan/target.ts';
import type { Checkout, Problem } from '../../core/types.ts';
import {
  refusedKeeping,
  rolledBack,
  stayed,
  strayed,
  triedAgain,
  unproven,
  withKept,
  withOutage,
} from '../decide/outcomes.ts';
import {
  type CommitPass,
  type Conclusion,
  conclude,
  concludeRollback,
  decide,
  type ReconnectPass,
  type Situation,
} from '../decide/passes.ts';
import { pauseInForce } from '../steps/window.ts';
import type { Loaded, Outcome, Run } from '../types.ts';
import { converge } from './converge.ts';
import { pauseGate, windowGate } from './gates.ts';
import { endpointsNamed, outageProblem, REOPEN_MS, waitForEndpoints } from './guards/connectivity.ts';
import { goTo, openRunning, type Passage, type Reviewed, refusalOf } from './guards/door.ts';
import { NONE } from './plan-for.ts';
import { leaveTrial, noteDown } from './records/notes.ts';
import { ranBefore, type Tried, tryCommit } from './try-commit.ts';

/** With the files of the commit that the host is to stay on. */
interface Situated extends Situation {
  stay: Passage | null;
}

/** Observes the host only if a window requires it; changes nothing. */
export async function situate(run: Run, head: Checkout): Promise<Situated> {
  const { commits } = run.store;
  const memory = commits.get();
  const { accepted, lastGood, postponed, trial, pendingRollback, pin } = memory;
  const now = run.clock.now();
  const loaded = await run.load(head);
  const content = loaded.content();
  const { commit } = head.info;
  const bad = commits.bad(content);
  const { force, trigger } = run.asked;
  const isAsked = trigger === 'manual';
  const choice = choose({ head: { commit, content }, accepted, lastGood, bad, postponed, now, pin, force, isAsked });
  const paused = await pauseInForce(run);
  // No window holds a rollback; without the server, its target stands in for the head. A trial that began in an open window
  // continues: half a commit is worse than a late one.
  const isNew = choice.act === 'try' && pendingRollback?.to !== commit && trial !== commit;
  const isBegun = [accepted, trial, pendingRollback?.to].includes(commit);
  const upgrade = isBegun ? null : run.scratch.upgrade;
  const gate = paused !== null ? pauseGate(paused) : (upgrade ?? (isNew ? await windowGate(run, loaded, head) : null));
  const stay = paused === null && choice.act === 'stay' ? await passage(run, choice.on, askerOf(choice, pin)) : null;
  return { head: commit, content, choice, stay, rollback: loaded.host.rollback ?? 'auto', gate, memory };
}

export async function pursue(run: Run, head: Reviewed): Promise<Outcome> {
  run.scratch.former = await formerOf(run);
  const situation = await situate(run, head);
  const passes = decide(situation);
  let told: Told = { outcome: null, outage: null };
  for (let pass = passes.shift(); pass !== undefined; pass = passes.shift()) {
    const done: Done =
      pass.role === 'reconnect'
        ? await reconnect(run, pass, situation, told)
        : await passOver(run, pass, situation, head, told);
    told = done.told;
    // The note must be durable before the run continues, but could not be written: the next run decides.
    if (!(await noteDown(run, done.conclusion.note, situation, told.outcome, head))) break;
    passes.push(...done.conclusion.next);
  }
  const { outcome, outage } = told;
  if (outcome === null) throw new Error('a run without a pass');
  const { stay } = situation;
  const answer = stay?.hold ? strayed(outcome, head.info, stay.hold) : outcome;
  return outage === null ? answer : withOutage(answer, outage);
}

/** Loaded before the head: the loader caches one commit, most likely this one until now, and the head from then on. */
async function formerOf(run: Run): Promise<Loaded | null> {
  const { accepted } = run.store.commits.get();
  const checkout = accepted === null ? null : await run.snapshots.load(accepted);
  return checkout && run.load(checkout);
}

/** A pin was set by somebody; the agent itself decided a rollback. */
const askerOf = ({ gate }: Extract<Choice, { act: 'stay' }>, pin: Pin | null): Asker =>
  gate?.kind === 'pin' ? (pin?.by ?? 'person') : 'agent';

/** The combined outcome of the passes so far, and an outage that no commit caused. */
interface Told {
  outcome: Outcome | null;
  outage: Problem | null;
}

interface Done {
  told: Told;
  conclusion: Conclusion;
}

async function passOver(run: Run, pass: CommitPass, situation: Situated, head: Reviewed, told: Told): Promise<Done> {
  const checkout = pass.on === head.info.commit ? head : await fetched(run, pass, situation);
  if (checkout !== null) leaveTrial(run, pass);
  const { outcome, lost, isSilence } =
    checkout === null ? NOT_READ : await carryOutPass(run, pass, checkout, situation);
  const memory = run.store.commits.get();
  const conclusion = conclude(pass, outcome, { situation, memory, lost, isSilence });
  const answer = tell(pass, outcome, told.outcome, situation, head, memory.accepted);
  return { told: { ...told, outcome: answer }, conclusion };
}

/** The files of another commit than the head, after its review; null if it cannot be read any more, or does not pass. */
async function fetched(run: Run, { role, on }: CommitPass, { stay }: Situated): Promise<Reviewed | null> {
  if (role === 'keep') return openRunning(run, on);
  if (role === 'stay') return stay?.checkout ?? null;
  const { checkout, hold } = await passage(run, on, 'agent');
  if (hold !== null) run.log.error({ commit: on.slice(0, 7), reason: hold.reason }, hold.message);
  return checkout;
}

/** A commit that cannot be fetched does not pass, either. */
const passage = (run: Run, commit: string, by: Asker): Promise<Passage> =>
  goTo(run, commit, by).catch((thrown) => ({ checkout: null, hold: refusalOf(thrown) }));

const NOT_READ = { outcome: null, lost: [], isSilence: false } as const;

async function carryOutPass(
  run: Run,
  pass: CommitPass,
  checkout: Reviewed,
  { content, choice }: Situation,
): Promise<Tried> {
  if (pass.role === 'try') return tryCommit(run, checkout);
  const alreadyRan = pass.role === 'again' ? ranBefore(run, content) : NONE;
  // A pin is an operator's decision, so it also rolls back what the agent never does by itself.
  const isPinned = choice.act === 'stay' && choice.gate?.kind === 'pin';
  const isOther = !pass.mode.isNew && pass.role !== 'look';
  const keeps = isOther && !isPinned ? new Set(run.store.commits.get().keeps) : NONE;
  const outcome = await converge(run, { checkout, mode: pass.mode, gate: pass.gate, alreadyRan, keeps });
  return { outcome, lost: [], isSilence: false };
}

/** The outcome of the run with this pass. */
function tell(
  { role, on }: CommitPass,
  outcome: Outcome | null,
  told: Outcome | null,
  { choice }: Situation,
  { info }: Checkout,
  accepted: string | null,
): Outcome | null {
  if (role === 'rollback') return told && rolledBack(told, outcome, info, on);
  if (outcome === null) return told;
  if (role === 'look') return withKept(outcome, told);
  if (role === 'keep') return told === null ? outcome : refusedKeeping(told, outcome);
  if (role === 'stay') return choice.act === 'stay' ? stayed(outcome, info, choice) : outcome;
  // The head is only shown, by a pass that follows.
  if (outcome.gate?.kind === 'prune') return null;
  const isOpen = outcome.verdict === 'open' && accepted !== info.commit;
  const answer = isOpen ? unproven(outcome) : outcome;
  return role === 'again' && told ? triedAgain(answer, told) : answer;
}

/** After a rollback, the endpoints that the commit had cut off get some time to answer again. */
async function reconnect(run: Run, { pendingRollback }: ReconnectPass, { head }: Situation, told: Told): Promise<Done> {
  const still = await waitForEndpoints(run, endpointsNamed(run, pendingRollback.endpoints), REOPEN_MS);
  // The agent was stopped: the next run probes again.
  if (still === null) return { told, conclusion: { note: null, next: [] } };
  const conclusion = concludeRollback(pendingRollback, head, { isLost: still.length > 0 });
  if (still.length > 0)
    run.log.warn(
      { commit: pendingRollback.from.slice(0, 7) },
      'the rollback did not restore connectivity, so the commit was not the cause and is tried again',
    );
  return { told: still.length > 0 ? { ...told, outage: outageProblem(still) } : told, conclusion };
}
