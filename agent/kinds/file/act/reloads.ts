/**
 * One daemon-reload for everything that a run changes: unit files, and files from which generators make units. It runs after
 * the last of them is on disk, and before any unit is started or observed.
 */
export interface Reloads {
  /** Generators' files will change in this run, so a reload for unit files waits for them. */
  expect(): void;
  /** Unit files are being installed; a reload comes after that. */
  during<T>(installing: Promise<T>): Promise<T>;
  /** Unit files changed. */
  request(): Promise<void>;
  /** Generators' files changed. */
  generate(): Promise<void>;
  /** Units are about to be used: runs a reload that is due. */
  flush(): Promise<void>;
}

/** @param reload makes systemd run its generators and read all units again */
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
