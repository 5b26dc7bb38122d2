/** The driver over the Docker engines of real hosts, under the contract that the engine in memory has to keep as well. */
import { afterAll, beforeAll, describe } from 'vitest';
import { silentLog } from '../../agent/log.ts';
import { systemClock } from '../../agent/system/clock.ts';
import { createDocker } from '../../agent/system/docker/docker.ts';
import { createDockerEvents } from '../../agent/system/docker/events.ts';
import { type Lab, startLab, until } from '../lab/lab.ts';
import type { Flavour } from '../lab/recipe.ts';
import { dockerContract } from './docker.ts';

const FLAVOURS: readonly Flavour[] = ['debian13', 'debian12'];
let lab: Lab;

beforeAll(async () => {
  lab = await startLab({
    name: 'driver',
    infra: 'shared',
    hosts: FLAVOURS.map((flavour) => ({ name: flavour, flavour })),
  });
});
afterAll(async () => lab?.stop());

describe.each(FLAVOURS)('on %s', (flavour) => {
  dockerContract('its engine', async () => {
    const socket = `/proc/${await lab.host(flavour).pid()}/root/run/docker.sock`;
    const docker = createDocker({ socket });
    const image = 'infra:5000/app:1';
    await docker.pull(image, { signal: new AbortController().signal, platform: '', auth: null });
    return {
      docker,
      events: createDockerEvents({ socket, clock: systemClock, log: silentLog }),
      image,
      missingImage: 'infra:5000/nowhere:1',
      until: (what, condition) => until(what, 60_000, condition),
    };
  });
});
