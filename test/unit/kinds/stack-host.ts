/** A host in memory for stacks of one service, created again for each test. */
import type { ContainerRequest } from '../../../agent/system/docker/docker.ts';
import type { FakeContainer } from '../../fakes/docker/state.ts';
import type { Reconciler } from '../../reconciler.ts';
import { type FreshHost, freshHost } from './fresh-host.ts';

/** A healthcheck that passes after a second. */
export const WELL = 'healthcheck: {test: [CMD, "true"], interval: 1s}';
/** A host without the stack. */
export const NOTHING = { 'a.yaml': 'files: {/srv/a: {content: a}}\n' };

/** The stack `shop` with the service `web`. @param top keys beside `services` */
export const stack = (keys = '', ...top: string[]) => ({
  'shop/compose.yaml': ['services:', `  web: {image: "app:1", ${WELL}${keys ? `, ${keys}` : ''}}`, ...top, ''].join(
    '\n',
  ),
});

export const problems = (result: Awaited<ReturnType<Reconciler['again']>>): string[] =>
  result.outcome.problems.map((p) => `${p.id} ${p.reason}: ${p.message}`);

export interface StackHost extends FreshHost {
  /** `name status` of all containers. */
  names(): string[];
  only(name: string): FakeContainer;
  /** A foreign container, created and started. */
  strangers(name: string, request?: ContainerRequest, start?: boolean): Promise<string>;
}

/** To be called at the top of a test file. */
export function stackHost(): StackHost {
  const on = freshHost((host) => {
    for (const tag of ['1', '2'])
      host.engine.registry.push(`app:${tag}`, { config: { Cmd: ['httpd'], Volumes: { '/scratch': {} } } });
    host.engine.registry.push('tool:1', { config: { Cmd: ['true'] } });
  });
  const names = () =>
    on.host.engine
      .containers()
      .map(({ name, status }) => `${name} ${status}`)
      .sort();
  return {
    get host() {
      return on.host;
    },
    get engine() {
      return on.engine;
    },
    names,
    only(name) {
      const found = on.host.engine.containers().find((c) => c.name === name);
      if (found === undefined) throw new Error(`${name} is not there: ${names().join(', ')}`);
      return found;
    },
    async strangers(name, request = {}, start = true) {
      const { docker } = on.host.engine;
      await docker.pull('app:1', { signal: new AbortController().signal, platform: '', auth: null });
      const id = await docker.create({ Image: 'app:1', ...request, name }, () => undefined);
      if (start) await docker.start(id);
      return id;
    },
    forget: on.forget,
  };
}
