/** A host in memory with an engine, created again for each test of a file. */
import { afterEach, beforeEach } from 'vitest';
import { createFakeHost, type FakeHost, reconcilerOn } from '../../fakes/host.ts';
import type { Reconciler } from '../../reconciler.ts';

export interface FreshHost {
  readonly host: FakeHost;
  readonly engine: Reconciler;
  /** Restarts the agent with an empty memory. */
  forget(): void;
}

/** To be called at the top of a test file. @param stock what each host has before a test, such as images in its registry */
export function freshHost(stock: (host: FakeHost) => void = () => undefined): FreshHost {
  let host: FakeHost;
  let engine: Reconciler;
  beforeEach(() => {
    host = createFakeHost();
    stock(host);
    engine = reconcilerOn(host);
  });
  afterEach(() => {
    engine.close();
    host.end();
  });
  return {
    get host() {
      return host;
    },
    get engine() {
      return engine;
    },
    forget() {
      engine.close();
      engine = reconcilerOn(host);
    },
  };
}
