/**
 * The seam for reporting: how a host publishes its state to a far end, such as an MQTT broker, from which people and programs
 * read it. A channel remembers nothing beyond its connection: whatever must survive an outage is in the outbox of the store,
 * and retained documents are published again after each `opened`.
 *
 * Order of calls: `start` once; then, whenever the channel is open, `retain`, `send` and `reply` in any order; `stop` once,
 * after which nothing is sent any more. `isOpen` and `problems` may be called at any time. The channel connects by itself, and
 * connects again after it lost the connection.
 *
 * One error convention: if the far end rejects a document, the call answers `refused`, or `too-large` if it is larger than the far
 * end takes, and the channel has a problem until the far end accepts one. In all other cases the call throws AgentError `PublishFailed`: at once if there is no connection, or
 * before the next `opened` if the connection ended meanwhile. Then nobody knows whether the document arrived, so the caller
 * sends it again when the channel is open, if it may arrive twice. No call waits for a connection, and every call ends.
 *
 *     channel.start({
 *       opened: async () => {
 *         await channel.retain('status', status());
 *         for (const event of outbox.peek(50)) if ((await channel.send(event)) === 'taken') outbox.ack(event.seq);
 *       },
 *       problemsChanged: () => show(channel.problems()),
 *       notice: (payload) => syncSoon(payload),
 *     });
 *     …
 *     await channel.stop();
 */
import type { CommandResult } from '../../manifests-schema/commands.ts';
import type { EventDocument, MetricsDocument, StatusDocument } from '../../manifests-schema/payloads.ts';
import type { RecentHistory } from './reporting/recent-history.ts';
import type { Problem, ResourceStatus } from './types.ts';

/** The retained documents of a host, by name: a later document replaces an earlier one. */
export interface RetainedDocuments {
  status: StatusDocument;
  resources: { schema: 1; resources: readonly ResourceStatus[] };
  history: RecentHistory;
  metrics: MetricsDocument;
}

/** Documents whose loss costs nothing, because the next one follows soon. `retain` answers `taken` as soon as they are sent. */
export const UNCONFIRMED: readonly (keyof RetainedDocuments)[] = ['metrics'];

export type Answer = 'taken' | 'refused' | 'too-large';

/** The destination of the answer to a command, in the form of the channel: plain data, which survives a restart. */
export interface ReplyTo {
  /** null: the default place for answers. */
  place: string | null;
  /** Correlation data that the answer repeats, base64; null if the command had none. */
  correlation: string | null;
}

/** A command for this host. Its sender is not authenticated: anybody who may publish can send one. */
export interface ReceivedCommand {
  /** Bounded in length; the receiver parses it. */
  text: string;
  reply: ReplyTo;
}

/** Callbacks of a channel; none of them may throw. */
export interface ChannelListener {
  /** A connection was made. Documents that were retained before may be lost. */
  opened(): void;
  /** `problems` now returns something else. */
  problemsChanged(): void;
  /**
   * A notice that the ref which this host follows has moved. The sender is not authenticated; at most 100 characters of text.
   */
  notice(payload: string): void;
  /** A command arrived. Only called if this host follows commands. */
  command?(received: ReceivedCommand): void;
}

export interface Channel {
  /** One word for the far end, such as `broker`: the id of the channel's problems. */
  readonly name: string;
  /** Begins to connect, and announces this host to the far end while the channel is open. */
  start(listener: ChannelListener): void;
  isOpen(): boolean;
  /** @returns when the far end has stored the document, or has refused it */
  retain<Name extends keyof RetainedDocuments>(name: Name, document: RetainedDocuments[Name]): Promise<Answer>;
  /** Events arrive in the order in which they are sent. @returns when the far end has stored the event, or has refused it */
  send(event: EventDocument): Promise<Answer>;
  /** @returns when the far end has the answer, or has refused it */
  reply(to: ReplyTo, result: CommandResult): Promise<Answer>;
  /** Problems that prevent this host from reporting now; each has the channel's name as its id. */
  problems(): readonly Problem[];
  /** Announces that this host leaves, and disconnects; within 3 s, whatever the network does. */
  stop(): Promise<void>;
}

/** A test of a channel's far end that does not disturb an open channel. */
export interface ChannelProbe {
  /** The name of the channel. */
  readonly name: string;
  /** Address of the far end, for people. */
  readonly address: string;
  /** The remedy for a failure that names none. */
  readonly fix: string;
  /** Resolves if the far end answered over a new connection. Throws AgentError. */
  probe(signal: AbortSignal): Promise<void>;
  /**
   * What the far end does otherwise than most, a sentence for each, for a person who looks: it costs more than a probe, and something
   * of ours lies there for a moment. Throws AgentError.
   */
  remarks?(signal: AbortSignal): Promise<readonly string[]>;
}
