/**
 * Removes a container because something that it refers to must be recreated, such as a volume; its service recreates it in the
 * same run.
 */
import { stop, type Tools } from './container.ts';

/** @returns a function that stops a container as its declaration says and removes it; its anonymous volumes stay */
export function createTakeDown(tools: Tools): (container: string) => Promise<void> {
  return async (container) => {
    const info = await tools.docker.inspect(container);
    if (info === undefined) return;
    await stop(tools, info);
    await tools.docker.remove(info.Id, { volumes: false });
  };
}
