/** Old images are removed, also beside one that is damaged. */
import { expect, test } from 'vitest';
import { AgentError } from '../../agent/errors.ts';
import { removeOldImages } from '../../agent/kinds/image/tidy.ts';
import { type ImageRecords, noImageRecords } from '../../agent/store/inventory/images.ts';
import type { ImageInfo } from '../../agent/system/docker/docker.ts';
import { createFakeDocker } from '../fakes/docker/engine.ts';
import { noAnswer, serverError } from '../fakes/docker/refusals.ts';

const infoOf = (id: string, tag: string): ImageInfo => ({
  id,
  tags: [tag],
  digests: [],
  config: {},
  platform: { os: 'linux', architecture: 'amd64', variant: '' },
  content: id,
});

/** Images a, b and c, which fairlead pulled as a:1, b:1 and c:1. */
function host(fails: Partial<Record<string, Error>>) {
  const images = new Map(['a', 'b', 'c'].map((id) => [id, infoOf(id, `${id}:1`)]));
  let pulled = [...images].map(([id]) => ({ id, name: `${id}:1` }));
  const records: ImageRecords = {
    ...noImageRecords(),
    pulled: () => pulled,
    forget: (id) => {
      pulled = pulled.filter((row) => row.id !== id);
    },
  };
  const named = (ref: string) => images.get(ref) ?? [...images.values()].find(({ tags }) => tags.includes(ref));
  const docker = {
    ...createFakeDocker().docker,
    async image(ref: string) {
      const failure = fails[ref];
      if (failure) throw failure;
      return named(ref);
    },
    async removeImage(ref: string) {
      const failure = fails[`remove ${ref}`];
      if (failure) throw failure;
      images.delete(named(ref)?.id ?? '');
      return true;
    },
  };
  const tidy = (kept: readonly string[] = []) =>
    removeOldImages({ docker, records, kept: new Set(kept), signal: new AbortController().signal });
  return { tidy, left: () => [...images.keys()], recorded: () => pulled.map(({ id }) => id) };
}

const damaged = serverError('content digest sha256:00: not found');

test.each(['a', 'remove a:1'])('an error of %s leaves the others to be removed, and is reported', async (call) => {
  const { tidy, left, recorded } = host({ [call]: damaged });
  await expect(tidy()).rejects.toBe(damaged);
  expect(left()).toEqual(['a']);
  expect(recorded()).toEqual(['a']);
});

test('what was pulled by the name of a kept image that cannot be inspected stays', async () => {
  const { tidy, left } = host({ 'b:1': damaged });
  await expect(tidy(['b:1'])).rejects.toBe(damaged);
  expect(left()).toEqual(['b']);
});

test('an engine that cannot be reached is not asked about the others', async () => {
  const gone = new AgentError({ code: 'EngineUnreachable', phase: 'observe', message: noAnswer().message });
  const { tidy, left } = host({ a: gone });
  await expect(tidy()).rejects.toBe(gone);
  expect(left()).toEqual(['a', 'b', 'c']);
});
