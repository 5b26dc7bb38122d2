/** The API of the current session; its users do not notice that agent.yaml is read again. */
import type { AgentApi } from '../control/api.ts';
import type { Session } from './session/session.ts';

export interface LastingApiOptions {
  session(): Session;
  /** The session ends, and another one replaces it. */
  isStopping(): boolean;
  /** Resolves when the new session runs. */
  reloaded(): Promise<void> | null;
}

export const lastingApi = ({ session, isStopping, reloaded }: LastingApiOptions): AgentApi => ({
  ...session().api,
  // A run that a reload ended is no answer: the next session answers.
  async sync(request, trigger, line) {
    let answered = false;
    await session().api.sync(request, trigger, (l) => {
      if (l.type === 'done' && isStopping()) return;
      answered ||= l.type === 'done';
      line(l);
    });
    if (answered) return;
    await reloaded();
    await session().api.sync(request, trigger, line);
  },
});
