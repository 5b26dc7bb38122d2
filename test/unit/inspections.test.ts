import { describe, expect, test } from 'vitest';
import { createInspections, hostWasDown, telling } from '../../agent/kinds/docker/inspections.ts';
import type { ContainerInfo, ContainerSummary, Docker } from '../../agent/system/docker/docker.ts';

const listed = (status = 'Up 5 minutes', more: object = {}) =>
  ({ Id: 'c1', Names: ['/web'], State: 'running', Status: status, Labels: {}, ...more }) as ContainerSummary;
const running = (health?: string) =>
  ({ Id: 'c1', State: { Running: true, ...(health ? { Health: { Status: health } } : {}) } }) as ContainerInfo;

/** Inspections with a clock that is set by hand, and the number of requests to the Docker engine. */
function setUp() {
  let now = 0;
  let asked = 0;
  const inspections = createInspections(() => now);
  const look = (container = listed(), info: ContainerInfo | undefined = running()) =>
    inspections.inspect(container, async () => {
      asked++;
      return info;
    });
  return {
    inspections,
    look,
    later: (ms: number) => {
      now += ms;
    },
    asked: () => asked,
  };
}

describe('a container is inspected once', () => {
  test('while events arrive and none concerns it', async () => {
    const { inspections, look, later, asked } = setUp();
    inspections.listening(true);
    await look();
    later(60_000);
    expect(await look(listed('Up 6 minutes'))).toEqual(running());
    inspections.touched('another');
    await look();
    expect(asked()).toBe(1);
  });

  test('but again without events, after a gap, an event, and a long time', async () => {
    const { inspections, look, later, asked } = setUp();
    await look();
    await look();
    expect(asked()).toBe(2);
    inspections.listening(true);
    await look();
    await look();
    expect(asked()).toBe(3);
    inspections.listening(false);
    inspections.listening(true);
    await look();
    expect(asked()).toBe(4);
    inspections.touched('c1');
    await look();
    expect(asked()).toBe(5);
    later(600_001);
    await look();
    expect(asked()).toBe(6);
  });

  test.each([
    ['its health', listed('Up 5 minutes (unhealthy)')],
    ['its state', listed('Exited (1) 2 seconds ago', { State: 'exited' })],
    ['its name', listed('Up 5 minutes', { Names: ['/other'] })],
    ['its image', listed('Up 5 minutes', { Image: 'sha256:1' })],
    ['its networks', listed('Up 5 minutes', { NetworkSettings: { Networks: { b: {} } } })],
  ])('but again if the list shows that %s changed, whatever the events', async (_what, changed) => {
    const { inspections, look, asked } = setUp();
    inspections.listening(true);
    await look();
    await look(changed);
    expect(asked()).toBe(2);
  });

  test('but each time while it does not run, or is not well', async () => {
    const { inspections, look, asked } = setUp();
    inspections.listening(true);
    for (const info of [running('starting'), running('unhealthy'), { ...running(), State: { Running: false } }])
      for (let i = 0; i < 2; i++) await look(listed(), info as ContainerInfo);
    expect(asked()).toBe(6);
    let gone = 0;
    const ask = async () => {
      gone++;
      return undefined;
    };
    for (let i = 0; i < 2; i++) await inspections.inspect(listed(), ask);
    expect(gone).toBe(2);
  });

  test('but again if an event arrived while the Docker engine answered', async () => {
    const { inspections, look, asked } = setUp();
    inspections.listening(true);
    await inspections.inspect(listed(), async () => {
      inspections.touched('c1');
      return running();
    });
    await look();
    expect(asked()).toBe(1);
  });
});

test('the driver reports each operation on a container, before and after it', async () => {
  const told: string[] = [];
  const inspections = { ...createInspections(() => 0), touched: (id: string) => void told.push(id) };
  const act = async () => undefined;
  const names = ['start', 'stop', 'restart', 'update', 'rename', 'remove'] as const;
  const bare = Object.fromEntries([...names, 'connect', 'disconnect'].map((name) => [name, act]));
  const docker = telling(bare as unknown as Docker, inspections);
  for (const name of names) await (docker[name] as (id: string) => Promise<unknown>)(name);
  await docker.connect('net', 'connected', {});
  await docker.disconnect('net', 'disconnected');
  expect(told).toEqual([...names, 'connected', 'disconnected'].flatMap((name) => [name, name]));
});

test('a container that ended while the Docker engine stopped or started was ended by it; one that ended before or after was not', () => {
  let date = Date.parse('2026-03-01T12:00:00Z');
  const inspections = createInspections(
    () => 0,
    () => date,
  );
  const ended = (at: string, ExitCode = 137, Id = 'c') =>
    inspections.endedByEngine({ Id, State: { FinishedAt: `2026-03-01T${at}Z`, ExitCode } } as ContainerInfo);
  inspections.listening(true);
  expect(ended('11:59:59')).toBe(false);
  date += 60_000;
  inspections.listening(false);
  expect([ended('12:00:20'), ended('12:00:55'), ended('12:01:30')]).toEqual([false, true, true]);
  // Failed connection attempts while it is away change nothing.
  inspections.listening(false);
  date += 60_000;
  inspections.listening(true);
  expect([ended('12:00:55'), ended('12:01:59'), ended('12:02:10')]).toEqual([true, true, false]);
});

test('a container that exited with 0 at that time completed by itself, unless it was told to stop', () => {
  let date = Date.parse('2026-03-01T12:00:00Z');
  const inspections = createInspections(
    () => 0,
    () => date,
  );
  const ended = (Id: string, at: string) =>
    inspections.endedByEngine({ Id, State: { FinishedAt: `2026-03-01T${at}Z`, ExitCode: 0 } } as ContainerInfo);
  inspections.listening(true);
  inspections.stopped('told');
  inspections.stopped('early');
  inspections.listening(false);
  date += 5_000;
  inspections.listening(true);
  expect([ended('told', '12:00:01'), ended('by-itself', '12:00:01'), ended('early', '11:00:00')]).toEqual([
    true,
    false,
    false,
  ]);
});

test('a container that ended while the host shut down, after the agent, did not complete, whatever its exit code', () => {
  const at = (time: string) => Date.parse(`2026-03-01T${time}Z`);
  const ended = (time: string, left: string | undefined, engine: string | null) =>
    createInspections(
      () => 0,
      () => 0,
      hostWasDown(left === undefined ? undefined : at(left), engine === null ? null : at(engine)),
    ).endedByEngine({ Id: 'c', State: { FinishedAt: `2026-03-01T${time}Z`, ExitCode: 0 } } as ContainerInfo);
  expect(ended('12:00:05', '12:00:00', '12:05:00')).toBe(true);
  // Before the agent stopped; long after; the Docker engine never stopped; after it was back; times unknown.
  expect(ended('11:59:59', '12:00:00', '12:05:00')).toBe(false);
  expect(ended('12:03:00', '12:00:00', '12:05:00')).toBe(false);
  expect(ended('12:00:05', '12:00:00', '11:00:00')).toBe(false);
  expect(ended('12:00:50', '12:00:00', '12:00:40')).toBe(false);
  expect(ended('12:00:05', undefined, '12:05:00')).toBe(false);
  expect(ended('12:00:05', '12:00:00', null)).toBe(false);
});
