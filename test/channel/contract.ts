/**
 * What every channel must do, however it is implemented (agent/core/channel.ts). A new channel provides a far end and runs this.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Channel, ChannelProbe, ReceivedCommand } from '../../agent/core/channel.ts';
import { AgentError } from '../../agent/errors.ts';
import type { CommandResult } from '../../manifests-schema/commands.ts';
import type { EventDocument, MetricsDocument, StatusDocument } from '../../manifests-schema/payloads.ts';
import { until } from '../lab/run.ts';

/** The other side of a channel, as a test observes and disturbs it. */
export interface FarEnd {
  /** A channel of host `h` that follows branch `main` and commands, not started. */
  channel(): Channel;
  probe(): ChannelProbe;
  /** Resolves when everything that a channel was given has arrived below. */
  caughtUp(): Promise<void>;
  /** What it retains for the host under this name. */
  retained(name: string): unknown;
  /** `seq` of the received events, in order of arrival. */
  events(): number[];
  /** Whether it considers the host online; undefined before the first message of the host. */
  presence(): 'online' | 'offline' | undefined;
  /** Messages under these names (`events`, or that of a document) are refused from now on. */
  refuse(...names: string[]): Promise<void>;
  /** Called when a message arrives, before it is acknowledged. */
  onArrival: ((name: string) => void) | null;
  /** Cuts the connection without a clean disconnect. */
  cut(): void;
  /** Refuses all connections from now on, or accepts them again; existing ones are cut. */
  away(isAway: boolean): Promise<void>;
  /** Publishes that a ref has moved. */
  notify(ref: string, payload: string): void;
  /** Sends a command to the host; `correlation` must return with the answer. */
  command(text: string, correlation: string): void;
  /** Ids of the received answers, each with its correlation data. */
  replies(): { id: string; correlation: string }[];
  end(): Promise<void>;
}

const WAIT_MS = 60_000;
const status = (message: string) => ({ message }) as unknown as StatusDocument;
const event = (seq: number) => ({ seq, id: `e-${seq}` }) as unknown as EventDocument;
const resources = { schema: 1 as const, resources: [] };
const PUBLISH_FAILED = expect.objectContaining({ code: 'PublishFailed', retry: true });

export function channelContract(name: string, create: () => Promise<FarEnd>): void {
  describe(`a channel: ${name}`, () => {
    let far: FarEnd;
    let channel: Channel;
    let openings: number;
    let turns: string[][];
    let notices: string[];
    let commands: ReceivedCommand[];
    beforeEach(async () => {
      far = await create();
      channel = far.channel();
      openings = 0;
      turns = [];
      notices = [];
      commands = [];
    });
    afterEach(async () => {
      await channel.stop();
      await far.end();
    });
    const start = (onOpened: () => void = () => undefined) =>
      channel.start({
        opened() {
          openings++;
          onOpened();
        },
        problemsChanged: () => turns.push(channel.problems().map((p) => p.reason)),
        notice: (payload) => notices.push(payload),
        command: (received) => commands.push(received),
      });
    const opened = (times = 1) =>
      until(`opening ${times}`, WAIT_MS, async () => openings === times && channel.isOpen());

    test('does nothing before it is started, and reports once that it is open', async () => {
      expect(channel.isOpen()).toBe(false);
      await expect(channel.retain('status', status('early'))).rejects.toEqual(PUBLISH_FAILED);
      expect(far.presence()).toBeUndefined();
      start();
      await opened();
      await until('presence', WAIT_MS, async () => far.presence() === 'online');
      expect(channel.problems()).toEqual([]);
      expect(openings).toBe(1);
    });

    test('retains the last document of each name', async () => {
      start();
      await opened();
      expect(await channel.retain('status', status('one'))).toBe('taken');
      expect(await channel.retain('resources', resources)).toBe('taken');
      expect(await channel.retain('status', status('two'))).toBe('taken');
      await far.caughtUp();
      expect(far.retained('status')).toEqual({ message: 'two' });
      expect(far.retained('resources')).toEqual(resources);
    });

    test('retains a document that is sent without a confirmation, and stays open', async () => {
      start();
      await opened();
      expect(await channel.retain('metrics', { uptimeSeconds: 5 } as MetricsDocument)).toBe('taken');
      await until(
        'the metrics',
        WAIT_MS,
        async () => far.retained('metrics') !== null && far.retained('metrics') !== undefined,
      );
      expect(far.retained('metrics')).toEqual({ uptimeSeconds: 5 });
      expect(openings).toBe(1);
    });

    test('delivers events in order, before it reports them as taken', async () => {
      start();
      await opened();
      for (let seq = 1; seq <= 20; seq++) {
        expect(await channel.send(event(seq))).toBe('taken');
        await far.caughtUp();
        expect(far.events().at(-1)).toBe(seq);
      }
      const answers = await Promise.all([21, 22, 23].map((seq) => channel.send(event(seq))));
      expect(answers).toEqual(['taken', 'taken', 'taken']);
      await far.caughtUp();
      expect(far.events()).toEqual(Array.from({ length: 23 }, (_, i) => i + 1));
    });

    test('returns refusals, lists them as a problem until the message is accepted, and stays open', async () => {
      await far.refuse('events');
      start();
      await opened();
      expect(await channel.send(event(1))).toBe('refused');
      expect(await channel.retain('status', status('one'))).toBe('taken');
      expect(channel.problems()).toMatchObject([{ id: channel.name, reason: 'PublishRefused' }]);
      expect(turns.at(-1)).toEqual(['PublishRefused']);
      await far.refuse();
      expect(await channel.send(event(1))).toBe('taken');
      expect(channel.problems()).toEqual([]);
      expect(turns.at(-1)).toEqual([]);
      expect(openings).toBe(1);
    });

    test('rejects pending calls when the connection ends meanwhile, and reopens by itself', async () => {
      start();
      await opened();
      far.onArrival = () => {
        far.onArrival = null;
        far.cut();
      };
      await expect(channel.send(event(1))).rejects.toEqual(PUBLISH_FAILED);
      await opened(2);
      expect(await channel.send(event(1))).toBe('taken');
      await until('presence', WAIT_MS, async () => far.presence() === 'online');
    });

    test('rejects each of several pending calls when the connection ends', async () => {
      let isOver = false;
      const over: boolean[] = [];
      start(() => over.push(isOver));
      await opened();
      far.onArrival = () => far.cut();
      const calls = [channel.retain('status', status('one')), channel.send(event(1)), channel.send(event(2))];
      const settled = await Promise.allSettled(calls);
      isOver = true;
      expect(settled.map((s) => (s.status === 'rejected' ? s.reason : s.value))).toEqual(
        calls.map(() => PUBLISH_FAILED),
      );
      far.onArrival = null;
      await opened(2);
      expect(over).toEqual([false, true]);
    });

    test('reports an unreachable far end, and stops reporting it when it is back', async () => {
      await far.away(true);
      start();
      await until('the problem', WAIT_MS, async () => channel.problems().length > 0);
      expect(channel.problems()).toMatchObject([{ id: channel.name, reason: 'BrokerUnreachable' }]);
      expect(turns).toEqual([['BrokerUnreachable']]);
      expect(channel.isOpen()).toBe(false);
      await far.away(false);
      await opened();
      expect(channel.problems()).toEqual([]);
      expect(turns.at(-1)).toEqual([]);
    });

    test('receives notices of the ref that it follows, and of no other', async () => {
      start();
      await opened();
      far.notify('other', 'not ours');
      // Until it arrives, since a subscription takes a moment.
      await until('the notice', WAIT_MS, async () => {
        if (!notices.includes('a'.repeat(40))) far.notify('main', 'a'.repeat(40));
        return notices.length > 0;
      });
      expect(new Set(notices)).toEqual(new Set(['a'.repeat(40)]));
      far.notify('main', 'x'.repeat(5_000));
      await until('the long notice', WAIT_MS, async () => notices.some((n) => n.startsWith('x')));
      expect(notices.at(-1)).toHaveLength(100);
    });

    test('receives commands, and returns their correlation data', async () => {
      start();
      await opened();
      // Until it arrives, since a subscription takes a moment.
      await until('the command', WAIT_MS, async () => {
        if (commands.length === 0) far.command('do it', 'mine');
        return commands.length > 0;
      });
      const [first] = commands;
      if (first === undefined) throw new Error('no command came');
      expect(first.text).toBe('do it');
      expect(await channel.reply(first.reply, { id: 'c-1' } as CommandResult)).toBe('taken');
      await far.caughtUp();
      await until('the answer', WAIT_MS, async () => far.replies().length > 0);
      expect(far.replies()).toEqual([{ id: 'c-1', correlation: 'mine' }]);
    });

    test('reports the host as offline when it is stopped, and sends nothing after that', async () => {
      start();
      await opened();
      await channel.stop();
      await far.caughtUp();
      expect(far.presence()).toBe('offline');
      expect(channel.isOpen()).toBe(false);
      await expect(channel.send(event(1))).rejects.toEqual(PUBLISH_FAILED);
      await channel.stop();
      expect(openings).toBe(1);
      expect(far.events()).toEqual([]);
    });

    test('can be stopped while it connects, and while nobody answers', async () => {
      await far.away(true);
      start();
      await channel.stop();
      await far.away(false);
      const other = far.channel();
      other.start({ opened: () => undefined, problemsChanged: () => undefined, notice: () => undefined });
      await until('another channel to open', WAIT_MS, async () => other.isOpen());
      await other.stop();
      expect(openings).toBe(0);
    });

    test('can be probed without affecting the open channel', async () => {
      start();
      await opened();
      const probe = far.probe();
      expect(probe.name).toBe(channel.name);
      await probe.probe(AbortSignal.timeout(WAIT_MS));
      expect(await channel.send(event(1))).toBe('taken');
      expect(openings).toBe(1);
      await far.away(true);
      await expect(probe.probe(AbortSignal.timeout(WAIT_MS))).rejects.toBeInstanceOf(AgentError);
      await expect(probe.probe(AbortSignal.abort())).rejects.toBeInstanceOf(AgentError);
    });
  });
}
