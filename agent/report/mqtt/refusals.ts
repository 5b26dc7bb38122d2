/** Reads the refusals of a broker, and other reasons why a host cannot reach its broker. */

export interface BrokerProblem {
  reason:
    | 'BrokerUnreachable'
    | 'NameTaken'
    | 'SubscriptionRefused'
    | 'PublishRefused'
    | 'NoticesFlooded'
    | 'CommandsFlooded';
  message: string;
}

/** The broker answered, and the answer was no (MQTT 5.0, 2.4: reason codes from 0x80 on), as opposed to no answer. */
export function isRefusal(thrown: unknown): boolean {
  const { code, packet } = (thrown ?? {}) as { code?: unknown; packet?: { cmd?: unknown } };
  return (typeof code === 'number' && code >= 0x80) || packet?.cmd === 'suback';
}

export const said = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));
