/** Gives commands to hosts over the session's connection, and hears what becomes of them. */
import type { MqttClient } from 'mqtt';
import { answered, commandText, isOpen, type Order, type Wish } from '../model/orders.ts';

export interface Orders {
  /** The last one that was given to this host. */
  of(host: string): Order | null;
  /** @param base `<prefix>/<fleet>` @param id random */
  give(client: MqttClient, how: { base: string; host: string; wish: Wish; id: string }): void;
  /** A message on `replies/<id>`. */
  hear(id: string, payload: string): void;
}

/** Time after which a host without an answer counts as silent, in ms; a later answer is still shown. */
const ANSWER_MS = 20_000;

export function createOrders({ onChanged }: { onChanged(): void }): Orders {
  const byHost = new Map<string, Order>();
  const set = (id: string, change: (order: Order) => Order) => {
    for (const [host, order] of byHost) if (order.id === id) byHost.set(host, change(order));
    onChanged();
  };
  const unheard = (id: string, thrown: unknown) =>
    set(id, (order) =>
      isOpen(order)
        ? { ...order, state: 'unheard', text: thrown instanceof Error ? thrown.message : String(thrown) }
        : order,
    );
  return {
    of: (host) => byHost.get(host) ?? null,
    give(client, { base, host, wish, id }) {
      byHost.set(host, { id, host, command: wish.command, state: 'sent', text: '', plan: [] });
      onChanged();
      client
        .subscribeAsync(`${base}/replies/${id}`, { qos: 1 })
        .then(() =>
          client.publishAsync(`${base}/hosts/${host}/commands`, commandText(wish, id, Date.now()), { qos: 1 }),
        )
        .catch((thrown: unknown) => unheard(id, thrown));
      setTimeout(() => {
        set(id, (order) => (order.state === 'sent' ? { ...order, state: 'silent' } : order));
      }, ANSWER_MS);
    },
    hear: (id, payload) => set(id, (order) => answered(order, payload)),
  };
}
