/** Calls for containers. */
import type { ContainerSummary, Docker } from '../../../agent/system/docker/docker.ts';
import { createContainer, refuseTaken } from './create.ts';
import { inspected, summary } from './inspect.ts';
import { ended, forget, startContainer, stopContainer } from './lifecycle.ts';
import { programOf } from './programs.ts';
import { conflict, refusal } from './refusals.ts';
import { containerOf, emitContainerEvent, imageOf, type State } from './state.ts';
import { usersOf } from './volumes.ts';

type Calls =
  | 'containers'
  | 'inspect'
  | 'create'
  | 'update'
  | 'start'
  | 'stop'
  | 'restart'
  | 'signal'
  | 'rename'
  | 'remove'
  | 'run'
  | 'logTail';

/** Names of signals that tests send. */
const SIGNAL = /^(SIG)?(HUP|KILL|TERM|USR1)$/;

export function containerCalls(state: State): Pick<Docker, Calls> {
  let last: readonly ContainerSummary[] = [];
  return {
    async containers() {
      const now = [...state.containers.values()].map((c) => summary(state, c));
      if (JSON.stringify(now) !== JSON.stringify(last)) last = now;
      return last;
    },
    inspect: async (id) => inspected(containerOf(state, id)),
    create: async (request) => createContainer(state, request),
    async update(id, settings) {
      const c = containerOf(state, id);
      Object.assign(c.host, settings);
      emitContainerEvent(state, c, 'update');
    },
    async start(id) {
      const c = containerOf(state, id);
      startContainer(state, c);
      c.restarts = 0;
    },
    stop: async (id) => stopContainer(state, containerOf(state, id)),
    async restart(id) {
      const c = containerOf(state, id);
      if (c.pid > 0 || c.status === 'restarting') stopContainer(state, c);
      startContainer(state, c);
      emitContainerEvent(state, c, 'restart');
    },
    async signal(id, name) {
      const c = containerOf(state, id);
      if (!SIGNAL.test(name)) throw refusal(400, 'bad parameter', `Invalid signal: ${name}`);
      if (c.pid === 0) throw conflict(`container ${c.id} is not running`);
      state.ran.push(`${c.name}: kill -${name}`);
      emitContainerEvent(state, c, 'kill', { signal: name });
      if (/KILL$/.test(name)) ended(state, c, 137);
    },
    async rename(id, name) {
      const c = containerOf(state, id);
      if (c.name === name) throw conflict('Renaming a container with the same name as its current name');
      refuseTaken(state, name);
      const oldName = `/${c.name}`;
      c.name = name;
      emitContainerEvent(state, c, 'rename', { oldName });
    },
    async remove(id, { volumes }) {
      const c = containerOf(state, id);
      forget(state, c);
      if (!volumes) return;
      for (const { Type, Name = '', isNamed } of c.mounts)
        if (Type === 'volume' && !isNamed && usersOf(state, Name).length === 0) state.volumes.delete(Name);
    },
    async run(id, { Cmd }) {
      const c = containerOf(state, id);
      if (c.pid === 0) throw conflict(`container ${c.id} is not running`);
      state.ran.push(`${c.name}: ${Cmd.join(' ')}`);
      const { endsAfterMs, code, says } = (imageOf(state, c.imageId)?.program ?? programOf)(Cmd);
      if (endsAfterMs === undefined) return new Promise(() => undefined);
      return { exitCode: code, output: says };
    },
    logTail: async (id) => containerOf(state, id).log.slice(-5).join(' | '),
  };
}
