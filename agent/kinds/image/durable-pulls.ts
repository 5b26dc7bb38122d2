/**
 * Pulls that survive a power cut: an image is used only after all of it is on disk. Images whose pull started under another
 * boot are removed and pulled again, because the Docker engine trusts every image and layer that it has a name for.
 */
import { listedName } from '../../core/names/image-name.ts';
import { AgentError, asAgentError } from '../../errors.ts';
import type { ImageRecords } from '../../store/inventory/images.ts';
import type { Docker, ImageInfo } from '../../system/docker/docker.ts';
import { sideBySide } from '../../system/side-by-side.ts';
import { idsMounted } from '../docker/image-mounts.ts';
import { explainUnsynced } from './errors.ts';
import { type Doubt, keyOf, type OpenPull, type Pull, type PullIntents } from './pull-intents.ts';

/** Maximum number of concurrent pulls. */
export const WIDTH = 3;

/** Failures by `keyOf`, or by the listed name if they concern all platforms; an entry that is missing succeeded. */
export type PullFailures = ReadonlyMap<string, AgentError>;

/** Why this image must not be used, under any of its names. */
export const failureOf = (failures: PullFailures, pull: Pull): AgentError | undefined =>
  failures.get(keyOf(pull)) ?? failures.get(listedName(pull.image));

export interface DurablePullsOptions {
  docker: Pick<Docker, 'image' | 'imageIds' | 'removeImage' | 'containers'>;
  records: Pick<ImageRecords, 'pulled' | 'forget'>;
  intents: PullIntents;
  /** Resolves when everything that Docker has unpacked is durable; see `syncEngineData`. */
  sync(signal: AbortSignal): Promise<void>;
}

export interface DurablePulls {
  /** A power cut interrupted its pull: it must not be used before `resolve`. */
  isDoubtful(pull: Pull): boolean;
  /** Whether `resolve` removed it and it was not pulled since. */
  isOwed(pull: Pull): boolean;
  /**
   * Repairs everything that a power cut interrupted. To be called before any other pull, which may share layers with it; costs
   * nothing if there is nothing to do. Afterwards these images are gone, and are pulled like any other; images with a failure
   * must not be used.
   * @param pull pulls one image completely
   */
  resolve(pull: (pull: Pull) => Promise<void>, signal: AbortSignal): Promise<PullFailures>;
  /**
   * Pulls these images, and then makes all of them durable at once.
   * @param pull calls `came` when it receives something that was not here; `had` are the ids of all images that were here
   * before
   */
  bring(
    pulls: readonly Pull[],
    pull: (pull: Pull, had: ReadonlySet<string>, came: () => void) => Promise<void>,
    signal: AbortSignal,
  ): Promise<PullFailures>;
  /** Removes and forgets unfinished pulls that nobody needs any more, by their names, where possible. */
  forgetAllBut(kept: ReadonlySet<string>): Promise<void>;
}

/** Image id → the interrupted pulls that may have created the image. */
type Suspects = Map<string, Doubt[]>;

export function createDurablePulls({ docker, records, intents, sync }: DurablePullsOptions): DurablePulls {
  /** Adds the image that the name refers to now, if the pull created it. */
  async function suspect(suspects: Suspects, doubt: Doubt): Promise<void> {
    const info = await docker.image(doubt.image);
    if (info === undefined || doubt.wasHere(info.id)) return;
    suspects.set(info.id, [...(suspects.get(info.id) ?? []), doubt]);
  }

  /** @returns why it stays; null if it is gone */
  async function remove(id: string, names: readonly string[]): Promise<string | null> {
    const here = await docker.image(id);
    if (here === undefined) return null;
    const recorded = records.pulled().filter((pulled) => pulled.id === id);
    const ours = new Set([...names, ...recorded.map(({ name }) => name)].map(listedName));
    const theirs = here.tags.filter((tag) => !ours.has(tag));
    if (theirs.length > 0) return `it also has the name ${theirs.join(', ')}: \`docker image rm ${theirs.join(' ')}\``;
    const users = await usersOf(id);
    if (users.length > 0) return `it is used by container ${users.join(', ')}: \`docker rm -f ${users.join(' ')}\``;
    if (!(await removeAllNames(here))) return 'the engine refuses to remove it: `docker image rm` says why';
    records.forget(id);
    return null;
  }

  async function usersOf(id: string): Promise<string[]> {
    const all = await docker.containers();
    const using = all.filter(({ ImageID, Labels }) => ImageID === id || [...idsMounted(Labels).values()].includes(id));
    return using.map(({ Id, Names }) => Names[0]?.replace(/^\//, '') ?? Id);
  }

  /** @returns whether it is gone, together with each layer that no other image has */
  async function removeAllNames({ id, tags, digests }: ImageInfo): Promise<boolean> {
    for (const name of [...tags, ...digests, id]) {
      if ((await docker.image(id)) === undefined) return true;
      await docker.removeImage(name);
    }
    return (await docker.image(id)) === undefined;
  }

  return {
    async resolve(pull, signal) {
      const doubts = intents.doubts();
      const failures = new Map<string, AgentError>();
      if (doubts.length === 0) return failures;
      const hasFailed = (doubt: Doubt) => failureOf(failures, doubt) !== undefined;
      const suspects: Suspects = new Map();
      // An interrupted pull leaves layers that belong to no image. Docker removes such layers only together with an image
      // that has them, so the image is first completed and then removed. Images may share layers, so all are completed before
      // any is removed.
      await sideBySide(doubts, WIDTH, async (doubt) => {
        try {
          await suspect(suspects, doubt);
          await pull(doubt);
          await suspect(suspects, doubt);
        } catch (thrown) {
          failures.set(listedName(doubt.image), asAgentError(thrown, { code: 'ImagePullFailed', phase: 'prepare' }));
        }
      });
      if (signal.aborted) return new Map(doubts.map(({ image }) => [listedName(image), stopped()]));
      for (const [id, of] of suspects) {
        if (of.every(hasFailed)) continue;
        const stays = await remove(
          id,
          of.map(({ image }) => image),
        );
        if (stays !== null) for (const doubt of of) failures.set(listedName(doubt.image), inUse(doubt, stays));
      }
      const again = doubts.filter((doubt) => !hasFailed(doubt));
      const had = await docker.imageIds();
      const unwritten = written(() => intents.restart(again, had));
      if (unwritten !== null) for (const { image } of again) failures.set(listedName(image), unwritten);
      return failures;
    },
    isDoubtful: (pull) => intents.doubts().some((doubt) => isSame(doubt, pull)),
    isOwed: (pull) => intents.open().some((open) => open.owed === true && isSame(open, pull)),
    async bring(pulls, pull, signal) {
      const failures = new Map<string, AgentError>();
      /** Pulls that received nothing new. */
      const same = new Set<string>(pulls.map(keyOf));
      if (pulls.length > 0) {
        const had = await docker.imageIds();
        const unwritten = written(() => intents.begin(pulls, had));
        if (unwritten !== null) return new Map(pulls.map((one) => [keyOf(one), unwritten]));
        await sideBySide(pulls, WIDTH, async (one) => {
          try {
            if (signal.aborted) throw stopped();
            await pull(one, new Set(had), () => same.delete(keyOf(one)));
          } catch (thrown) {
            failures.set(keyOf(one), asAgentError(thrown, { code: 'ImagePullFailed', phase: 'prepare' }));
          }
        });
      }
      // The next process continues under the same boot, or detects another boot.
      if (signal.aborted) return failures;
      const open: OpenPull[] = [];
      for (const one of intents.open()) if (!one.owed || (await docker.image(one.image))) open.push(one);
      if (open.length === 0) return failures;
      const came = open.filter((one) => !same.has(keyOf(one)));
      try {
        if (came.length > 0) await sync(signal);
        const unwritten = written(() => intents.settle(open));
        if (unwritten !== null) throw unwritten;
      } catch (thrown) {
        const error = explainUnsynced(thrown);
        for (const one of came) if (failureOf(failures, one) === undefined) failures.set(listedName(one.image), error);
      }
      return failures;
    },
    async forgetAllBut(kept) {
      const names = new Set([...kept].map(listedName));
      const isGone = ({ image }: Pull) => !names.has(listedName(image));
      const doubts = intents.doubts().filter(isGone);
      const gone = [...doubts, ...intents.open().filter((one) => one.owed && isGone(one))];
      if (gone.length === 0) return;
      const suspects: Suspects = new Map();
      for (const doubt of doubts) await suspect(suspects, doubt);
      for (const [id, of] of suspects)
        await remove(
          id,
          of.map(({ image }) => image),
        );
      intents.drop(gone);
    },
  };
}

const isSame = (a: Pull, b: Pull): boolean => listedName(a.image) === listedName(b.image);

const stopped = () =>
  new AgentError({ code: 'Stopped', phase: 'prepare', message: 'the agent was stopped during a pull' });

const inUse = ({ image }: Pull, why: string) =>
  new AgentError({
    code: 'ImageInUse',
    phase: 'prepare',
    message: `a power cut interrupted the pull of ${image}, so its files may be empty, and ${why}; then it is removed and pulled again`,
  });

/** @returns why the state cannot be written; null if it was written */
function written(act: () => void): AgentError | null {
  try {
    act();
    return null;
  } catch (thrown) {
    const said = thrown instanceof Error ? thrown.message : String(thrown);
    const message = `cannot record which images are being pulled: ${said}; free or repair the disk of fairlead's state`;
    return new AgentError({ code: 'StateUnwritable', phase: 'prepare', message, cause: thrown });
  }
}
