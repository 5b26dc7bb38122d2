/**
 * A page without Playwright. Playwright records all traffic of its pages, and has Chromium pass on each frame of a websocket:
 * that costs as much as the page itself does. Measurements therefore use a page of Chromium's own, controlled only by its
 * protocol.
 */
import type { Browser, CDPSession } from 'playwright-core';

export interface BarePage {
  send<T = unknown>(method: string, params?: object): Promise<T>;
  on(method: string, listener: (params: never) => void): void;
  /** @returns the value of an expression; for a promise, its result */
  evaluate<T>(expression: string): Promise<T>;
  close(): Promise<void>;
}

interface Message {
  id?: number;
  method?: string;
  params?: unknown;
  result?: unknown;
  error?: { message: string };
}

/** An empty page of this size in pixels. */
export async function openBarePage(
  browser: Browser,
  { width, height } = { width: 1280, height: 800 },
): Promise<BarePage> {
  const root = await browser.newBrowserCDPSession();
  const { browserContextId } = await root.send('Target.createBrowserContext');
  const { targetId } = await root.send('Target.createTarget', { url: 'about:blank', browserContextId, width, height });
  const { sessionId } = await root.send('Target.attachToTarget', { targetId, flatten: false });
  const answers = new Map<number, (message: Message) => void>();
  const listeners = new Map<string, (params: never) => void>();
  let count = 0;
  root.on('Target.receivedMessageFromTarget', (event) => {
    if (event.sessionId !== sessionId) return;
    const message = JSON.parse(event.message) as Message;
    if (message.id !== undefined) answers.get(message.id)?.(message);
    else listeners.get(message.method ?? '')?.(message.params as never);
  });
  const page: BarePage = {
    on: (method, listener) => void listeners.set(method, listener),
    async send<T>(method: string, params: object = {}): Promise<T> {
      const id = ++count;
      const answer = new Promise<Message>((resolve) => answers.set(id, resolve));
      await root.send('Target.sendMessageToTarget', { sessionId, message: JSON.stringify({ id, method, params }) });
      const { result, error } = await answer;
      answers.delete(id);
      if (error) throw new Error(`${method}: ${error.message}`);
      return result as T;
    },
    async evaluate<T>(expression: string): Promise<T> {
      const asked = { expression, awaitPromise: true, returnByValue: true };
      const { result } = await page.send<{ result: { value: T } }>('Runtime.evaluate', asked);
      return result.value;
    },
    close: () => closeTarget(root, targetId, browserContextId),
  };
  await page.send('Page.enable');
  return page;
}

async function closeTarget(root: CDPSession, targetId: string, browserContextId: string): Promise<void> {
  await root.send('Target.closeTarget', { targetId });
  await root.send('Target.disposeBrowserContext', { browserContextId });
  await root.detach();
}
