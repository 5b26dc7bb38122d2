/**
 * Bounds each call to the engine in time and turns its refusals into results: a state that is already as desired is no
 * error, any other refusal becomes a sentence with a stable code.
 */

import { LONGEST_TIMER_MS } from '../clock.ts';
import { createLanes } from '../side-by-side.ts';
import { saysGone, saysSameName } from './engine-words.ts';
import { explain, gone, Late, statusOf, stillThere } from './errors.ts';
import type { Docker } from './types.ts';

const CALL_TIMEOUT_MS = 60_000;
/**
 * Requests of hundreds of services that are open at once. A socket takes only so many connections that wait (EAGAIN), and
 * the last of too many would exceed its limit, which begins with the request.
 */
const READS = 16;
/** A log is read from a file. */
const LOGS = 4;
const REMOVAL_POLL_MS = 200;
/** An engine waits for a registry that does not answer, and then tries another way. */
const ASK_TIMEOUT_MS = 120_000;

/** @param grace seconds between a stop and the kill; null for the engine's own, which is 10 */
export const graceMs = (grace: number | null): number => (grace ?? 10) * 1_000;

/**
 * @param calls the bare calls, which throw what the engine's client throws (`statusCode` and the engine's own message)
 * @param socket named in the error of an engine that cannot be reached
 */
export function explained(calls: Docker, socket: string): Docker {
  let unanswered = 0;
  /** @param timeoutMs null for as long as it takes @param refused see `explain` */
  async function call<T>(
    what: string,
    act: () => Promise<T>,
    timeoutMs: number | null = CALL_TIMEOUT_MS,
    refused?: 'InspectFailed',
  ): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      if (timeoutMs !== null)
        timer = setTimeout(
          () => reject(new Late(what, timeoutMs)),
          // The grace period of a container may be of any length.
          Math.min(timeoutMs, LONGEST_TIMER_MS),
        );
    });
    try {
      return await Promise.race([act(), late]);
    } catch (thrown) {
      if (thrown instanceof Late) unanswered++;
      throw explain(what, socket, thrown, refused);
    } finally {
      clearTimeout(timer);
    }
  }
  /** Acts on the container `id`: it may be gone, which is told from one that a declaration names and that is not there. */
  const on = <T>(what: string, id: string, act: () => Promise<T>, timeoutMs?: number): Promise<T> =>
    call(
      what,
      () =>
        act().catch((thrown: unknown) => {
          throw saysGone(thrown, id) ? gone(what, thrown) : thrown;
        }),
      timeoutMs,
    );
  /** `answer` where the engine refuses with one of these codes. */
  const or = <T, A>(answer: A, codes: readonly number[], found: Promise<T>): Promise<T | A> =>
    found.catch((thrown) => {
      if (!codes.includes(statusOf(thrown))) throw thrown;
      return answer;
    });
  /** If an engine answers nothing any more, those that wait for their turn have waited long enough. */
  function inTurn(width: number, refused?: 'InspectFailed') {
    const lanes = createLanes(width);
    return <T>(what: string, act: () => Promise<T>): Promise<T> => {
      const before = unanswered;
      const ask = async () => {
        if (unanswered - before >= width) throw new Late(what, CALL_TIMEOUT_MS);
        return act();
      };
      return lanes(() => call(what, ask, CALL_TIMEOUT_MS, refused));
    };
  }
  const read = inTurn(READS, 'InspectFailed');
  const readLog = inTurn(LOGS);
  return {
    containers: () => call('list containers', calls.containers),
    info: () => call('ask the engine what it can do', calls.info),
    version: () => call('ask the engine for its version', calls.version),
    inspect: (id) => read(`inspect container ${shortId(id)}`, () => or(undefined, [404], calls.inspect(id))),
    create: (options, warn) => call(`create ${options.name}`, () => calls.create(options, warn)),
    connect: (network, container, endpoint) =>
      on(`connect to ${network}`, container, () => calls.connect(network, container, endpoint)),
    disconnect: (network, container) =>
      call(`disconnect from ${network}`, () => or(undefined, [404], calls.disconnect(network, container))),
    update: (id, settings) => on('update a container', id, () => calls.update(id, settings)),
    start: (id) => on('start a container', id, () => or(undefined, [304], calls.start(id))),
    stop: (id, t) =>
      call('stop a container', () => or(undefined, [304, 404], calls.stop(id, t)), graceMs(t) + CALL_TIMEOUT_MS),
    restart: (id, t) => on('restart a container', id, () => calls.restart(id, t), graceMs(t) + CALL_TIMEOUT_MS),
    signal: (id, name) => call(`send ${name} to a container`, () => or(undefined, [404, 409], calls.signal(id, name))),
    rename: (id, name) =>
      call(`rename to ${name}`, () =>
        // A container that is gone needs no name; the next observation sees that it is missing.
        or(undefined, [404], calls.rename(id, name)).catch((thrown: unknown) => {
          if (!saysSameName(thrown)) throw thrown;
        }),
      ),
    async remove(id, options) {
      const giveUpAt = performance.now() + CALL_TIMEOUT_MS;
      const ask = () => calls.remove(id, options).then(() => true);
      const isGone = () => or(true, [404], or(false, [409], ask()));
      // The engine refuses a second removal with 409. The name is taken until the first one is done.
      while (!(await call('remove a container', isGone))) {
        if (performance.now() > giveUpAt) throw stillThere(CALL_TIMEOUT_MS);
        await new Promise((resolve) => setTimeout(resolve, REMOVAL_POLL_MS));
      }
    },
    run: (id, command, limitMs) =>
      on('run a command in a container', id, () => calls.run(id, command, limitMs), limitMs + CALL_TIMEOUT_MS),
    logTail: (id) => readLog('read a container’s log', () => calls.logTail(id)).catch(() => ''),
    image: (image) => read(`inspect image ${shortId(image)}`, () => or(undefined, [404], calls.image(image))),
    imageIds: () => call('list images', calls.imageIds),
    pull: (image, options) => call(`pull ${image}`, () => calls.pull(image, options), null),
    login: (auth) => call(`log in to ${auth.serveraddress}`, () => calls.login(auth), ASK_TIMEOUT_MS),
    registryDigest: (image, auth) =>
      call(`ask the registry about ${image}`, () => calls.registryDigest(image, auth), ASK_TIMEOUT_MS),
    removeImage: (image) => call(`remove image ${image}`, () => or(false, [404, 409], calls.removeImage(image))),
    networks: () => call('list networks', calls.networks),
    createNetwork: (options) => call(`create network ${options.Name}`, () => calls.createNetwork(options)),
    removeNetwork: (id) => call('remove a network', () => or(undefined, [404], calls.removeNetwork(id))),
    volumes: () => call('list volumes', calls.volumes),
    createVolume: (options) => call(`create volume ${options.Name}`, () => calls.createVolume(options)),
    removeVolume: (name) => call(`remove volume ${name}`, () => or(undefined, [404], calls.removeVolume(name))),
  };
}

/** An id as `docker ps` prints it; a name as it is. */
const shortId = (ref: string): string =>
  /^(sha256:)?[0-9a-f]{64}$/.test(ref) ? ref.replace('sha256:', '').slice(0, 12) : ref;
