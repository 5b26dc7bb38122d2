/** Current problems with the broker: at most one of the connection, and one for each refused topic. Each is logged once. */
import type { Log } from '../../log.ts';
import type { BrokerProblem } from './refusals.ts';

export interface BrokerProblemsOptions {
  log: Log;
  /** `all` answers otherwise than before. */
  changed(): void;
}

export interface BrokerProblems {
  /** Why there is no connection; null when there is one. */
  trouble(problem: BrokerProblem | null): void;
  /** Records the refusal of a topic; null when the broker allows it. */
  refused(topic: string, problem: BrokerProblem | null): void;
  all(): readonly BrokerProblem[];
}

export function createBrokerProblems({ log, changed }: BrokerProblemsOptions): BrokerProblems {
  let current: BrokerProblem | null = null;
  const byTopic = new Map<string, BrokerProblem>();
  const warn = (problem: BrokerProblem | null) => {
    if (problem) log.warn({ reason: problem.reason }, problem.message);
  };
  return {
    trouble(problem) {
      const isNew = problem?.message !== current?.message;
      if (isNew) warn(problem);
      current = problem;
      if (isNew) changed();
    },
    refused(topic, problem) {
      if (byTopic.get(topic)?.message === problem?.message) return;
      warn(problem);
      if (problem) byTopic.set(topic, problem);
      else byTopic.delete(topic);
      changed();
    },
    all: () => [...(current ? [current] : []), ...byTopic.values()],
  };
}
