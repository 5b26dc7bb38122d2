/**
 * The page's session with its broker: connects, reads what is retained, follows live messages, and reconnects after an
 * outage. The page keeps showing its data meanwhile.
 */
import type { MqttClient } from 'mqtt';
import { createFeed, type Feed } from '../model/feed.ts';
import { happeningOf } from '../model/history.ts';
import { createHostReader, type HostReader, LEAVES } from '../model/host-file.ts';
import type { Order, Wish } from '../model/orders.ts';
import { createFleetStore, type FleetStore } from '../model/store.ts';
import type { Credentials } from './credentials.ts';
import { createOrders } from './orders.ts';
import { createPump } from './pump.ts';
import { readAll } from './reading.ts';
import type { Settings } from './settings.ts';
import { openSocket, Refused } from './socket.ts';
import type { LinkState } from './state.ts';

export interface Session {
  readonly store: FleetStore;
  readonly feed: Feed;
  readonly state: LinkState;
  /** Every host that is in the index was read, at least once. */
  readonly isWhole: boolean;
  /** The host that is open. */
  readonly reader: HostReader | null;
  connect(credentials: Credentials): void;
  /** Asks the user to log in. */
  ask(why: string): void;
  /** Asks for all that the broker has of one host, and for nothing more of the one before. */
  look(host: string | null): void;
  /** Subscribes to the events of all hosts, or unsubscribes. */
  listen(isOn: boolean): void;
  /** Sends a command to a host; does nothing while there is no connection. */
  give(host: string, wish: Wish): void;
  /** The last that this page had it do. */
  orderOf(host: string): Order | null;
}

export interface SessionOptions {
  settings: Settings;
  /** Something that is shown changed. */
  onChanged(): void;
}

const CONNECT_MS = 10_000;
const AGAIN_MS = 1_000;
const AGAIN_MOST_MS = 30_000;
/** QoS 0 may lose a word in a flood; all of it is read again this often. */
const REREAD_MS = 10 * 60_000;
const EVENTS = 500;
const NOT_RETAINED = 2;
/** So often a broker is asked to go on. */
const NUDGE_MS = 10;
/** Time in which a history of 60 KiB arrives, in ms. */
const LOOK_MS = 2_000;

/**
 * mosquitto 2.0 sends 4 KiB of a message over a websocket and goes on after 100 ms, or when it hears from the client.
 * @returns what ends it
 */
function nudge(client: MqttClient): () => void {
  const timer = setInterval(() => {
    if (client.connected) client.sendPing();
  }, NUDGE_MS);
  return () => clearInterval(timer);
}

const random = (): string => crypto.getRandomValues(new Uint32Array(3)).join('');

export function createSession({ settings, onChanged }: SessionOptions): Session {
  const base = `${settings.prefix}/${settings.fleet}`;
  const feed = createFeed(EVENTS);
  let state: LinkState = { kind: 'connecting' };
  let client: MqttClient | null = null;
  let version: 4 | 5 = 5;
  let reader: HostReader | null = null;
  let isListening = false;
  let isWhole = false;
  let lostAt: number | null = null;
  let tries = 0;
  let rereading: ReturnType<typeof setTimeout> | undefined;
  const store = createFleetStore({ now: () => Date.now(), onWaiting: () => pump.wake() });
  const orders = createOrders({ onChanged });
  const pump = createPump({ store: () => store, onChanged, isLoading: () => !isWhole });

  const turn = (next: LinkState) => {
    state = next;
    onChanged();
  };

  /** @param isKept it was given because of a subscription, rather than said just now */
  function hear(topic: string, payload: string, isKept: boolean): void {
    const replies = `${base}/replies/`;
    if (topic.startsWith(replies)) orders.hear(topic.slice(replies.length), payload);
    if (!topic.startsWith(`${base}/hosts/`)) return;
    const [host = '', leaf = '', more] = topic.slice(base.length + '/hosts/'.length).split('/');
    if (host === '' || more !== undefined) return;
    if (leaf === 'presence' || leaf === 'status') store.offer(host, leaf, payload, !isKept);
    if (reader?.file.host === host && reader.take(leaf, payload)) onChanged();
    if (leaf !== 'events' || !isListening) return;
    const event = happeningOf(host, payload);
    if (event === null) return;
    feed.add(event);
    onChanged();
  }

  const decoder = new TextDecoder();
  const topicsOf = (host: string) => LEAVES.map((leaf) => `${base}/hosts/${host}/${leaf}`);
  const allEvents = `${base}/hosts/+/events`;

  async function open(credentials: Credentials): Promise<void> {
    clearTimeout(rereading);
    if (state.kind !== 'lost') turn({ kind: 'connecting' });
    try {
      const opened = await openSocket({
        credentials,
        clientId: `fairlead-page-${random()}`,
        version,
        timeoutMs: CONNECT_MS,
      });
      client = opened;
      opened.on('message', (topic, payload, { retain }) => hear(topic, decoder.decode(payload), retain));
      opened.once('close', () => lost(credentials, 'It closed the connection.'));
      // Messages that arrive during the first reading are taken in as well.
      const live = [`${base}/hosts/+/presence`, `${base}/hosts/+/status`];
      await opened.subscribeAsync(live, { qos: 0, ...(version === 5 ? { rh: NOT_RETAINED } : {}) });
      if (reader !== null) opened.subscribe(topicsOf(reader.file.host), { qos: 0 });
      if (isListening) opened.subscribe(allEvents, { qos: 0 });
      await readOver(credentials, opened);
    } catch (thrown) {
      const refusal = thrown instanceof Refused ? thrown : null;
      if (refusal?.isAboutVersion && version === 5) {
        version = 4;
        return open(credentials);
      }
      if (refusal?.isAboutUser) return turn({ kind: 'asking', why: refusal.message });
      client?.end(true);
      client = null;
      lost(credentials, thrown instanceof Error ? thrown.message : String(thrown));
    }
  }

  async function readOver(credentials: Credentials, opened: MqttClient): Promise<void> {
    if (!isWhole) turn({ kind: 'reading' });
    const word = random();
    const own = await openSocket({ credentials, clientId: `fairlead-page-${word}`, version, timeoutMs: CONNECT_MS });
    const stop = nudge(own);
    const names = await readAll({ client: own, settings, store, word, hear }).finally(stop);
    if (client !== opened) return;
    store.keep(names);
    isWhole = true;
    tries = 0;
    lostAt = null;
    turn({ kind: 'live', since: Date.now() });
    rereading = setTimeout(() => {
      if (client === opened) readOver(credentials, opened).catch(() => opened.end(true));
    }, REREAD_MS);
  }

  function lost(credentials: Credentials, why: string): void {
    if (state.kind === 'asking' || (state.kind === 'lost' && state.again > Date.now())) return;
    client = null;
    lostAt ??= Date.now();
    tries += 1;
    const wait = Math.min(AGAIN_MOST_MS, AGAIN_MS * 2 ** Math.min(tries - 1, 6)) * (0.75 + Math.random() / 2);
    turn({ kind: 'lost', since: lostAt, why, again: Date.now() + wait });
    setTimeout(() => void open(credentials), wait);
  }

  return {
    store,
    feed,
    get state() {
      return state;
    },
    get isWhole() {
      return isWhole;
    },
    get reader() {
      return reader;
    },
    connect(credentials) {
      state = { kind: 'connecting' };
      void open(credentials);
    },
    ask: (why) => turn({ kind: 'asking', why }),
    look(host) {
      if ((reader?.file.host ?? null) === host) return;
      if (reader !== null) client?.unsubscribe(topicsOf(reader.file.host));
      reader = host === null ? null : createHostReader(host);
      if (host === null || client === null) return;
      client.subscribe(topicsOf(host), { qos: 0 });
      setTimeout(nudge(client), LOOK_MS);
    },
    give(host, wish) {
      if (client !== null) orders.give(client, { base, host, wish, id: random() });
    },
    orderOf: (host) => orders.of(host),
    listen(isOn) {
      if (isListening === isOn) return;
      isListening = isOn;
      if (isOn) {
        feed.clear();
        client?.subscribe(allEvents, { qos: 0 });
      } else client?.unsubscribe(allEvents);
    },
  };
}
