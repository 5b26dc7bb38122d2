/**
 * Records which images are being pulled, before the first byte arrives. Unpacked data is not durable before a sync; a power cut
 * before that leaves images and layers with empty files, and only this record tells them from complete ones.
 */
import type { Records } from '../../store/records.ts';

/** One image for one platform; '' is Docker's own platform. */
export interface Pull {
  image: string;
  platform: string;
}

/** A pull that started under another boot and did not end: its image, and its layers without an image, may have empty files. */
export interface Doubt extends Pull {
  /** Whether the image was on the host before the pull, and so is complete. */
  wasHere(id: string): boolean;
}

export interface OpenPull extends Pull {
  /** The image was on the host, and was removed because a power cut interrupted a pull; it is owed until it is pulled again. */
  owed?: true;
}

export interface PullIntents {
  /** Durable when it returns. @param had ids of all images on the host. Throws errors of the disk, like the other methods */
  begin(pulls: readonly Pull[], had: readonly string[]): void;
  /** Pulls that started under this boot and are not known to be durable. */
  open(): readonly OpenPull[];
  /** These pulls are durable, or received nothing. */
  settle(pulls: readonly Pull[]): void;
  doubts(): readonly Doubt[];
  /** Everything that these pulls left was removed: they start again under this boot, and are owed. @param had as for `begin` */
  restart(doubts: readonly Pull[], had: readonly string[]): void;
  /** Nobody needs these any more, under whichever boot they started. */
  drop(pulls: readonly Pull[]): void;
}

/** Pulls that started under one boot. */
interface Begun {
  boot: string;
  /** Images on the host before the first of these pulls. */
  had: readonly string[];
  pulls: readonly OpenPull[];
}

const KEY = 'pulls';
/** The number of digits that Docker prints: enough to distinguish the images of one host. */
const DIGITS = 12;
const shortened = (id: string): string => id.replace(/^sha256:/, '').slice(0, DIGITS);
export const keyOf = ({ image, platform }: Pull): string => `${image} ${platform}`;

/** @param boot id of the current boot */
export function createPullIntents(records: Records, boot: string): PullIntents {
  const all = () => (records.get(KEY) ?? []) as readonly Begun[];
  const isOfThisBoot = (begun: Begun) => begun.boot === boot;
  const write = (begun: readonly Begun[]) => {
    const left = begun.filter(({ pulls }) => pulls.length > 0);
    records.set(KEY, left.length === 0 ? undefined : left);
  };
  const without = (begun: Begun, gone: readonly Pull[]): Begun => {
    const keys = new Set(gone.map(keyOf));
    return { ...begun, pulls: begun.pulls.filter((pull) => !keys.has(keyOf(pull))) };
  };
  const adding = (before: readonly Begun[], pulls: readonly OpenPull[], had: readonly string[]): Begun[] => {
    const now = before.find(isOfThisBoot) ?? { boot, had: had.map(shortened), pulls: [] };
    const owed = new Set([...now.pulls, ...pulls].filter((pull) => pull.owed).map(keyOf));
    const added = pulls.map(({ image, platform }): OpenPull => {
      const pull = { image, platform };
      return owed.has(keyOf(pull)) ? { ...pull, owed: true } : pull;
    });
    const others = before.filter((begun) => begun !== now);
    return [...others, { ...now, pulls: [...without(now, added).pulls, ...added] }];
  };
  const withoutDoubts = (gone: readonly Pull[]) =>
    all().map((begun) => (isOfThisBoot(begun) ? begun : without(begun, gone)));
  return {
    begin: (pulls, had) => write(adding(all(), pulls, had)),
    open: () => all().find(isOfThisBoot)?.pulls ?? [],
    settle: (pulls) => write(all().map((begun) => (isOfThisBoot(begun) ? without(begun, pulls) : begun))),
    doubts: () =>
      all()
        .filter((begun) => !isOfThisBoot(begun))
        .flatMap(({ pulls, had }) => pulls.map((pull) => ({ ...pull, wasHere: (id) => had.includes(shortened(id)) }))),
    restart: (doubts, had) =>
      write(
        adding(
          withoutDoubts(doubts),
          doubts.map((doubt) => ({ ...doubt, owed: true })),
          had,
        ),
      ),
    drop: (pulls) => write(all().map((begun) => without(begun, pulls))),
  };
}
