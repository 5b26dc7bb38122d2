/** The commands that a host can be sent over the broker; agent.yaml names which of these it follows. */
export const COMMANDS = ['sync', 'plan', 'pause', 'resume', 'rollback'] as const;
/**
 * Outcome of a command on one host, as `fairlead fleet` shows it. `done`: carried out, and the host is well; `unwell`:
 * carried out, but the host is not well. `refused`, `failed`: by the host. `silent`: no answer; `late`: still at it when the
 * wait ended. `unheard`: the broker did not take the command. `open`: sent, but no longer waited for; `not-asked`: not sent
 * any more; `stopped`: not sent because others had failed. `away`, `off`: not sent, because the host is offline or does not
 * follow the command.
 */
export const OUTCOMES = [
  'done',
  'unwell',
  'failed',
  'refused',
  'silent',
  'late',
  'unheard',
  'open',
  'not-asked',
  'stopped',
  'away',
  'off',
] as const;
export type Outcome = (typeof OUTCOMES)[number];
export type CommandName = (typeof COMMANDS)[number];
