/**
 * One daemon-reload for all that a run changes: unit files, and the files of which generators make units. It comes when the last
 * of them lie on disk, and before any unit is started or looked at.
 */
export interface Reloads {
  /** Generators' files will change in this run: a reload for unit files waits for theirs. */
  expect(): void;
  /** Unit files are being put in place: a reload comes after that. */
  during<T>(installing: Promise<T>): Promise<T>;
  /** Unit files changed. */
  request(): Promise<void>;
  /** Generators' files changed. */
  generate(): Promise<void>;
  /** Units are about to be used: nothing may be outstanding. */
  flush(): Promise<void>;
}

/** @param reload has systemd run its generators and read all units again */
export function createReloads(reload: () => Promise<void>): Reloads {
  let isExpected = false;
  let isDue = false;
  let installing: Promise<unknown> = Promise.resolve();
  return {
    expect() {
      isExpected = true;
    },
    during(work) {
      installing = work.catch(() => undefined);
      return work;
    },
    async request() {
      if (isExpected) isDue = true;
      else await reload();
    },
    async generate() {
      await installing;
      isExpected = false;
      isDue = false;
      await reload();
    },
    async flush() {
      isExpected = false;
      if (!isDue) return;
      isDue = false;
      await reload();
    },
  };
}
