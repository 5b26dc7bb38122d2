/** Tools for the contract of a Docker engine's driver, real or in memory. */
import { expect } from 'vitest';
import { AgentError } from '../../agent/errors.ts';
import type { ContainerInfo, ContainerRequest, ContainerSummary, Docker } from '../../agent/system/docker/docker.ts';
import type { DockerEvents } from '../../agent/system/docker/events.ts';

export interface DockerSubject {
  docker: Docker;
  events: DockerEvents;
  /** A busybox that waits for requests, already on the host; with its own command. */
  image: string;
  /** An image name of the same registry that does not exist. */
  missingImage: string;
  until(what: string, condition: () => Promise<boolean>): Promise<unknown>;
}

export interface DockerTools {
  readonly subject: DockerSubject;
  readonly docker: Docker;
  /** A container that sleeps, without a network, unless `more` says otherwise. @returns its id */
  made(container: string, more?: ContainerRequest): Promise<string>;
  started(container: string, more?: ContainerRequest): Promise<string>;
  look(id: string): Promise<ContainerInfo>;
  listed(id: string): Promise<ContainerSummary | undefined>;
  becomes(id: string, what: string, holds: (info: ContainerInfo) => boolean): Promise<unknown>;
  /** @returns code and message */
  refused(act: Promise<unknown>): Promise<string>;
}

export const silent = () => undefined;
export const nobody = new AbortController().signal;
export const shell = (script: string) => ['/bin/busybox', 'sh', '-c', script];
const WAITING = ['/bin/busybox', 'sleep', '1000'];

/** @param given returns the subject once it exists */
export function dockerTools(given: () => DockerSubject): DockerTools {
  const tools: DockerTools = {
    get subject() {
      return given();
    },
    get docker() {
      return given().docker;
    },
    made(container, more = {}) {
      const HostConfig = { NetworkMode: 'none', ...more.HostConfig };
      const request = { Image: given().image, Cmd: WAITING, ...more, name: container, HostConfig };
      return tools.docker.create(request, silent);
    },
    async started(container, more) {
      const id = await tools.made(container, more);
      await tools.docker.start(id);
      return id;
    },
    async look(id) {
      const info = await tools.docker.inspect(id);
      if (info === undefined) throw new Error(`${id} is not there`);
      return info;
    },
    listed: async (id) => (await tools.docker.containers()).find((c) => c.Id === id),
    becomes: (id, what, holds) => given().until(`${id} to be ${what}`, async () => holds(await tools.look(id))),
    async refused(act) {
      const thrown = await act.then(
        () => new Error('nothing was refused'),
        (error: unknown) => error,
      );
      expect(thrown).toBeInstanceOf(AgentError);
      return `${(thrown as AgentError).code}: ${(thrown as AgentError).message}`;
    },
  };
  return tools;
}
