/** Commands over the broker, on a host whose agent.yaml lists any: what carries them out is loaded when the first connection is there. */
import type { CommandName } from '../../../manifests-schema/command-names.ts';
import type { ReceivedCommand } from '../../core/channel.ts';
import type { Remote, RemoteOptions } from './remote.ts';

export interface RemoteCommands {
  opened(): void;
  take(received: ReceivedCommand): void;
  stop(): void;
}

/** The commands that `mqtt.commands` lists. */
export const listedCommands = (mqtt: { commands: false | CommandName[] } | undefined): readonly CommandName[] =>
  mqtt?.commands ? [...new Set(mqtt.commands)] : [];

export function createRemoteCommands(options: RemoteOptions): RemoteCommands {
  let loading: Promise<Remote> | null = null;
  const act = (what: (remote: Remote) => unknown): void => {
    loading ??= import('./remote.ts').then(({ createRemote }) => {
      const remote = createRemote(options);
      remote.start();
      return remote;
    });
    void loading.then(what).catch((thrown: unknown) => {
      const error = thrown instanceof Error ? thrown.message : String(thrown);
      options.log.error({ error }, 'commands over the broker cannot be followed');
    });
  };
  return {
    opened: () => act((remote) => remote.opened()),
    take: (received) => act((remote) => remote.take(received)),
    stop: () => void loading?.then((remote) => remote.stop()).catch(() => undefined),
  };
}
