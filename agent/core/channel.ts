/**
 * The seam for reporting: how a host says how it is to a far end, such as an MQTT broker, that people and programs read it
 * from. A channel has no memory but that of its connection: what is to survive an outage lies in the outbox of the store, and
 * what the far end keeps is said again after each opening.
 *
 * Order of calls: `start` once; then, whenever the channel is open, `retain` and `send` in any order; `stop` once, after
 * which nothing goes out any more. `isOpen` and `problems` may be asked at any time. The channel connects, and connects
 * again after it lost the connection, by itself.
 *
 * One error convention: what the far end says no to is an answer, `refused`, and a problem until it is taken. Everything else
 * is no answer: the call throws an AgentError `PublishFailed`, at once while there is no connection, and before the next
 * `opened` if the connection ended meanwhile. Then nobody knows whether it arrived, so whoever may say it twice says it again
 * when the channel is open. No call waits for a connection, and none is left without an answer.
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
import type { EventDocument, StatusDocument } from '../../manifests-schema/payloads.ts';
import type { Problem, ResourceStatus } from './types.ts';

/** What the far end keeps of a host, by name: a later document takes the place of the one before it. */
export interface RetainedDocuments {
  status: StatusDocument;
  resources: { schema: 1; resources: readonly ResourceStatus[] };
}

export type Answer = 'taken' | 'refused';

/** Told by a channel; none of these may throw. */
export interface ChannelListener {
  /** A connection was made. What was retained before may be lost. */
  opened(): void;
  /** `problems` answers otherwise than before. */
  problemsChanged(): void;
  /** Somebody says that the ref which this host follows has moved. Anybody may have sent it: at most 100 characters of text. */
  notice(payload: string): void;
}

export interface Channel {
  /** What the far end is to people, in one word such as `broker`: the id of its problems. */
  readonly name: string;
  /** Begins to connect, and lets the far end know that this host is there while it is open. */
  start(listener: ChannelListener): void;
  isOpen(): boolean;
  /** @returns when the far end keeps it, or has refused it */
  retain<Name extends keyof RetainedDocuments>(name: Name, document: RetainedDocuments[Name]): Promise<Answer>;
  /** Events arrive in the order in which they are sent. @returns when the far end has it for good, or has refused it */
  send(event: EventDocument): Promise<Answer>;
  /** What stands between this host and being heard now; each has the channel's name as its id. */
  problems(): readonly Problem[];
  /** Lets the far end know that this host has left, and ends; within 3 s, whatever the network does. */
  stop(): Promise<void>;
}

/** A look at a channel's far end that disturbs no channel which is open. */
export interface ChannelProbe {
  /** That of the channel. */
  readonly name: string;
  /** Where the far end is, for people. */
  readonly address: string;
  /** What to do about a failure that names no remedy of its own. */
  readonly fix: string;
  /** Resolves when the far end has answered over a connection that was made for the question. Throws AgentError. */
  probe(signal: AbortSignal): Promise<void>;
}
