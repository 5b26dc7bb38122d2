/** Commands to the host that is looked at, where it follows any: each says first what will happen. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { COMMANDS, type CommandName, complaintOf, EFFECTS, isOpen, type Order, type Wish } from '../model/orders.ts';
import { Said, Section } from './parts.tsx';

interface OrdersProps {
  host: string;
  /** The commands that the host follows. */
  followed: readonly string[];
  /** The last one that this page gave to this host. */
  order: Order | null;
  isConnected: boolean;
  onGiven(wish: Wish): void;
}

export function Orders({ host, followed, order, isConnected, onGiven }: OrdersProps) {
  const [chosen, choose] = useState<CommandName | null>(null);
  const offered = COMMANDS.filter((command) => followed.includes(command));
  useEffect(() => choose(null), [host]);
  if (offered.length === 0) return null;
  const isBusy = order !== null && isOpen(order);
  return (
    <Section title="Commands" id="commands">
      <p class="orders">
        {offered.map((command) => (
          <button
            key={command}
            type="button"
            aria-expanded={chosen === command}
            disabled={!isConnected || isBusy}
            onClick={() => choose(chosen === command ? null : command)}
          >
            {command} …
          </button>
        ))}
      </p>
      {chosen !== null && !isBusy && (
        <OrderForm
          key={chosen}
          host={host}
          command={chosen}
          onLeft={() => choose(null)}
          onGiven={(wish) => {
            choose(null);
            onGiven(wish);
          }}
        />
      )}
      <div role="status">{order !== null && <Outcome order={order} />}</div>
    </Section>
  );
}

interface OrderFormProps {
  host: string;
  command: CommandName;
  onLeft(): void;
  onGiven(wish: Wish): void;
}

function OrderForm({ host, command, onLeft, onGiven }: OrderFormProps) {
  const form = useRef<HTMLFormElement>(null);
  const [complaint, complain] = useState('');
  useEffect(() => form.current?.querySelector<HTMLElement>('input')?.focus(), []);
  const give = (event: Event) => {
    event.preventDefault();
    if (form.current === null) return;
    const data = new FormData(form.current);
    const text = (name: string) => String(data.get(name) ?? '').trim();
    const wish: Wish = {
      ...{ command, reason: text('reason'), isForced: data.get('force') === 'on' },
      ...{ time: text('time'), commit: text('commit') },
    };
    const wrong = complaintOf(wish);
    if (wrong === '') onGiven(wish);
    else complain(wrong);
  };
  return (
    <form class="order" ref={form} onSubmit={give} aria-label={`${command} ${host}`}>
      <p>{EFFECTS[command]}</p>
      {complaint !== '' && (
        <p role="alert" class="is-bad">
          {complaint}
        </p>
      )}
      {command === 'pause' && (
        <label>
          For how long <input name="time" placeholder="2h; empty: until it is resumed" />
        </label>
      )}
      {command === 'rollback' && (
        <label>
          To which commit <input name="commit" placeholder="empty: the one before" spellcheck={false} />
        </label>
      )}
      {command === 'sync' && (
        <label class="check">
          <input name="force" type="checkbox" /> also try again what was recorded as bad
        </label>
      )}
      <label>
        Reason <input name="reason" placeholder="shown in the host’s history" maxLength={200} />
      </label>
      <p class="orders">
        <button type="submit" class="main">
          {command} {host}
        </button>
        <button type="button" onClick={onLeft}>
          leave it
        </button>
      </p>
    </form>
  );
}

const WORDS: Readonly<Record<Order['state'], string>> = {
  sent: 'Sent; the host has not answered yet.',
  accepted: 'The host is at it.',
  done: 'Done.',
  failed: 'Failed.',
  refused: 'Refused; nothing was done.',
  unheard: 'The broker did not take it; nothing was done.',
  silent:
    'No answer: the host is offline, or does not follow this command. After five minutes the command has expired.',
};

const Outcome = ({ order: { command, state, text, plan } }: { order: Order }) => (
  <>
    <p>
      <strong class={state === 'done' ? 'is-good' : state === 'sent' || state === 'accepted' ? '' : 'is-bad'}>
        {command}: {WORDS[state]}
      </strong>{' '}
      <Said text={text} />
    </p>
    {plan.length > 0 && (
      <ul>
        {plan.map((line) => (
          <li key={line}>
            <Said text={line} />
          </li>
        ))}
      </ul>
    )}
  </>
);
