/** A container that has to go for something that it names, such as a volume: its service makes it again in the same run. */
import { stop, type Tools } from './container.ts';

/** @returns what stops a container as its declaration has it, and removes it; its anonymous volumes stay */
export function createTakeDown(tools: Tools): (container: string) => Promise<void> {
  return async (container) => {
    const info = await tools.docker.inspect(container);
    if (info === undefined) return;
    await stop(tools, info);
    await tools.docker.remove(info.Id, { volumes: false });
  };
}
