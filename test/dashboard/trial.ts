/** A fleet on a mosquitto, the page as it is shipped, and a browser that shows it. */
import path from 'node:path';
import type { Browser, Page } from 'playwright-core';
import type { PageConfig } from '../../agent/fleet/page/files.ts';
import { servePage } from '../../agent/fleet/page/server.ts';
import { ensurePrograms } from '../lab/packages.ts';
import { launch, openPage } from './browser.ts';
import { type Crowd, report, type Said } from './hosts.ts';
import { type Mosquitto, type MosquittoOptions, startMosquitto } from './mosquitto.ts';

const DIST = path.join(import.meta.dirname, '../../dist/dashboard');

export interface Trial {
  readonly broker: Mosquitto;
  readonly crowd: Crowd;
  readonly browser: Browser;
  readonly url: string;
  /** @param query `?…` @returns the page, live, and its errors */
  open(query?: string, size?: { width: number; height: number }): Promise<{ page: Page; complaints: string[] }>;
  end(): Promise<void>;
}

export interface TrialOptions extends MosquittoOptions {
  hosts: ReadonlyMap<string, Said>;
  config?: Partial<PageConfig>;
}

export async function startTrial({ hosts, users = {}, certificates, config = {} }: TrialOptions): Promise<Trial> {
  await ensurePrograms({ chromium: 'chromium', mosquitto: 'mosquitto' });
  const broker = await startMosquitto({ users, ...(certificates ? { certificates } : {}) });
  const [[user, password] = []] = Object.entries(users);
  const crowd = await report(broker.url, 'fairlead', hosts, user === undefined ? {} : { username: user, password });
  const server = await servePage({
    dir: DIST,
    names: [],
    listen: { host: '127.0.0.1', port: 0 },
    config: { schema: 1, broker: broker.websocket, prefix: 'fairlead', fleet: 'f', login: false, ...config },
  });
  const browser = await launch();
  return {
    ...{ broker, crowd, browser, url: server.url },
    async open(query = '', size) {
      const opened = await openPage(browser, `${server.url}${query}`, size);
      await isLive(opened.page);
      return opened;
    },
    async end() {
      await browser.close();
      await server.stop();
      await crowd.end();
      await broker.stop();
    },
  };
}

/** Waits until the page shows everything at the broker, and follows it live. */
export const isLive = (page: Page): Promise<void> =>
  page.getByRole('banner').getByText('live', { exact: true }).waitFor();
