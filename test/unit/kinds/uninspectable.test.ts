/** A Docker engine that answers, but cannot inspect one container or image: only the service of it is left alone. */
import { describe, expect, test } from 'vitest';
import type { ResourceId } from '../../../agent/core/types.ts';
import { repair } from '../../../agent/engine/drift/repair.ts';
import { requestFor } from '../../../agent/engine/run/create-run.ts';
import { AgentError } from '../../../agent/errors.ts';
import { Late, observeFailed } from '../../../agent/system/docker/errors.ts';
import { done } from '../../reconciler.ts';
import { problems, stackHost } from './stack-host.ts';

const on = stackHost();
const NIL = 'RWLayer of container is unexpectedly nil';
const DAMAGED = 'layer does not exist';

/** @param keys of the service `b` */
const three = (keys = '') => ({
  'a.yaml': 'files: {/srv/a: {content: a}}\n',
  'shop/compose.yaml': `services:
  a: {image: "app:1"}
  b: {image: "app:2"${keys}}
  c: {image: "app:1"}
`,
});

const stopAll = async () => {
  for (const { id } of on.host.engine.containers()) await on.host.engine.docker.stop(id, 0);
};
const idOf = (name: string) => on.only(name).id;

describe('a container that the engine cannot inspect', () => {
  test('is reported with its reason and what to do', async () => {
    await on.engine.apply(three());
    on.host.engine.uninspectable.set('shop-b-1', NIL);
    expect(problems(await on.engine.again())).toEqual([
      `service:shop/b InspectFailed: cannot inspect container ${idOf('shop-b-1').slice(0, 12)}: ${NIL}; restart docker.service; if that does not help, remove the container or image, and it is created or pulled again`,
    ]);
  });

  test('does not keep the other services from being repaired', async () => {
    await on.engine.apply(three());
    await stopAll();
    on.host.engine.uninspectable.set('shop-b-1', NIL);
    await on.engine.again();
    expect(on.names()).toEqual(['shop-a-1 running', 'shop-b-1 exited', 'shop-c-1 running']);
  });

  test('is repaired when the engine can inspect it again', async () => {
    await on.engine.apply(three());
    const id = idOf('shop-b-1');
    await stopAll();
    on.host.engine.uninspectable.set('shop-b-1', NIL);
    await on.engine.again();
    on.host.engine.uninspectable.clear();
    expect(problems(await on.engine.again())).toEqual([]);
    expect(on.only('shop-b-1')).toMatchObject({ id, status: 'running' });
    expect(on.names()).toHaveLength(3);
  });

  test('lets the rest of a commit be applied and conclude', async () => {
    await on.engine.apply(three());
    on.host.engine.uninspectable.set('shop-b-1', NIL);
    const files = three(', environment: {W: x}');
    const result = await on.engine.apply({ ...files, 'a.yaml': 'files: {/srv/a: {content: b}}\n' });
    expect(result.outcome.verdict).toBe('partly');
    expect(done(result)).toEqual(['update file:/srv/a done']);
  });

  test('stays managed if a commit no longer declares its service, and is removed later', async () => {
    await on.engine.apply(three());
    on.host.engine.uninspectable.set('shop-b-1', NIL);
    const { 'shop/compose.yaml': compose, ...rest } = three();
    const without = { ...rest, 'shop/compose.yaml': compose.replace(/ {2}b: .*\n/, '') };
    expect(problems(await on.engine.apply(without))).toEqual([
      expect.stringMatching(/^service:shop\/b InspectFailed: its removal waits: /),
    ]);
    on.host.engine.uninspectable.clear();
    expect(done(await on.engine.again())).toEqual(['remove service:shop/b done']);
  });

  test('is not blamed on the commit that started it', async () => {
    const files = three();
    await on.engine.apply({ 'a.yaml': files['a.yaml'] });
    const damage = () => void on.host.engine.uninspectable.set('shop-b-1', NIL);
    const started = new AbortController();
    await on.host.engine.events.follow(
      {
        filters: { type: ['container'], event: ['start'] },
        event: ({ Actor }) => Actor.Attributes?.name === 'shop-b-1' && damage(),
        listening: () => undefined,
        gap: () => undefined,
      },
      started.signal,
    );
    const { outcome } = await on.engine.apply(files);
    started.abort();
    expect(outcome.verdict).toBe('partly');
    expect(outcome.problems).toEqual([expect.objectContaining({ id: 'service:shop/b', reason: 'InspectFailed' })]);
  });

  test('leaves the other services synced', async () => {
    await on.engine.apply(three());
    on.host.engine.uninspectable.set('shop-b-1', NIL);
    const { outcome } = await on.engine.again();
    const services = outcome.resources.filter((r) => r.id.startsWith('service:'));
    expect(services.map((r) => `${r.id} ${r.sync}`)).toEqual([
      'service:shop/a synced',
      'service:shop/b failed',
      'service:shop/c synced',
    ]);
  });

  test('does not keep a repair by events from the others', async () => {
    const { engine } = on;
    const previous = await engine.apply(three());
    await stopAll();
    on.host.engine.uninspectable.set('shop-b-1', NIL);
    const signal = new AbortController().signal;
    const checkout = await engine.deps.source.checkout('', signal);
    const hinted = new Set<ResourceId>(['service:shop/a', 'service:shop/b']);
    const loaded = await engine.deps.load(checkout);
    const result = await repair(engine.deps, { checkout, loaded }, hinted, previous, requestFor(signal));
    expect(done(result)).toEqual(['update service:shop/a done']);
    expect(problems(result)).toEqual([expect.stringMatching(/^service:shop\/b InspectFailed: /)]);
    expect(on.names()).toEqual(['shop-a-1 running', 'shop-b-1 exited', 'shop-c-1 exited']);
  });
});

describe('an image that the engine cannot inspect', () => {
  test('of the container whose declaration changed: the others are changed, and it waits', async () => {
    await on.engine.apply(three());
    const id = idOf('shop-b-1');
    await on.host.engine.docker.stop('shop-a-1', 0);
    on.host.engine.uninspectable.set('app:2', DAMAGED);
    const result = await on.engine.apply(three(', environment: {W: x}'));
    expect(problems(result)).toEqual([
      expect.stringMatching(/^service:shop\/b InspectFailed: cannot inspect image .*layer does not exist/),
    ]);
    expect(on.only('shop-a-1').status).toBe('running');
    expect(on.only('shop-b-1').id).toBe(id);
    on.host.engine.uninspectable.clear();
    expect(problems(await on.engine.again())).toEqual([]);
    expect(on.only('shop-b-1').config.Env).toContain('W=x');
  });

  test('to which a tag was moved: only its service waits', async () => {
    await on.engine.apply(three());
    await on.host.engine.docker.stop('shop-a-1', 0);
    on.host.engine.registry.push('app:2', { config: { Cmd: ['httpd'], Env: ['NEW=1'] } });
    await on.host.engine.docker.pull('app:2', { signal: new AbortController().signal, platform: '', auth: null });
    on.host.engine.uninspectable.set('app:2', DAMAGED);
    expect(problems(await on.engine.again())).toEqual([expect.stringMatching(/^service:shop\/b InspectFailed: /)]);
    expect(on.only('shop-a-1').status).toBe('running');
  });

  test('that a commit declares: only its service waits', async () => {
    const { 'shop/compose.yaml': compose, ...rest } = three();
    await on.engine.apply({ ...rest, 'shop/compose.yaml': compose.replace('app:2', 'app:1') });
    on.host.engine.uninspectable.set('app:2', DAMAGED);
    const result = await on.engine.apply({ ...three(), 'a.yaml': 'files: {/srv/a: {content: b}}\n' });
    expect(problems(result)).toEqual([expect.stringMatching(/^service:shop\/b InspectFailed: /)]);
    expect(done(result)).toEqual(['update file:/srv/a done']);
  });
});

describe('an inspection without an answer', () => {
  const unreachable = (cause: unknown) =>
    new AgentError({ code: 'EngineUnreachable', phase: 'observe', message: 'cannot reach the Docker engine', cause });

  test('concerns one container', () => {
    const error = observeFailed(unreachable(new Late('inspect container abc', 60_000)), 'service:shop/b');
    expect(error.code).toBe('InspectFailed');
    expect(error.message).toMatch(/^cannot inspect container abc: no answer within 60 s; /);
  });

  test('is no matter of one container if the connection fails', () => {
    const thrown = unreachable(Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }));
    expect(() => observeFailed(thrown, 'service:shop/b')).toThrow(thrown);
  });
});

test('if the engine goes away during the inspections, the whole kind waits', async () => {
  await on.engine.apply(three());
  const { uninspectable, goAway } = on.host.engine;
  uninspectable.set('shop-b-1', NIL);
  const has = uninspectable.has.bind(uninspectable);
  uninspectable.has = (name) => {
    const isDamaged = has(name);
    if (isDamaged) goAway();
    return isDamaged;
  };
  const result = await on.engine.again();
  expect(result.outcome.problems.map((p) => `${p.id} ${p.reason}`)).toContain('service:shop/a EngineUnreachable');
  expect(result.outcome.verdict).toBe('open');
});
