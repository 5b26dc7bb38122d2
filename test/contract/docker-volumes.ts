/** The contract for volumes and images. */
import { expect, test } from 'vitest';
import { type DockerTools, nobody } from './docker-tools.ts';

export function volumePromises(on: DockerTools): void {
  const { made, started, look, listed, refused } = on;

  test('a container cannot be created from an unknown image', async () => {
    expect(await on.docker.image(on.subject.missingImage)).toBeUndefined();
    expect(await refused(made('t-noimage', { Image: on.subject.missingImage }))).toMatch(
      /^EngineRefused: .*No such image/,
    );
    const pull = on.docker.pull(on.subject.missingImage, { signal: nobody, platform: '', auth: null });
    expect(await refused(pull)).toMatch(/not found|manifest unknown/);
    expect(await on.docker.removeImage(on.subject.missingImage)).toBe(false);
  });

  test('an existing image is found by name and id, can be pulled again, and is kept while it is used', async () => {
    await on.docker.pull(on.subject.image, { signal: nobody, platform: '', auth: null });
    const image = await on.docker.image(on.subject.image);
    expect(image?.tags).toContain(on.subject.image);
    expect(await on.docker.image(image?.id ?? '')).toMatchObject({ id: image?.id, content: image?.content });
    expect(await on.docker.imageIds()).toContain(image?.id);
    const digest = await on.docker.registryDigest(on.subject.image, null);
    expect(image?.digests.some((known) => known.endsWith(`@${digest}`))).toBe(true);
    await started('t-user');
    expect(await on.docker.removeImage(image?.id ?? '')).toBe(false);
    expect(await on.docker.image(on.subject.image)).toBeDefined();
  });

  test('a named volume stays, an anonymous one is removed with its container', async () => {
    const mounts = { Mounts: [{ Type: 'volume', Target: '/a' }] as never, Binds: ['t-data:/data'] };
    const id = await made('t-volumes', { HostConfig: mounts });
    const names = (await look(id)).Mounts.map((m) => m.Name ?? '');
    const anonymous = names.find((volume) => /^[0-9a-f]{64}$/.test(volume)) ?? '';
    expect(names.sort()).toEqual([anonymous, 't-data'].sort());
    expect((await listed(id))?.Mounts.map((m) => m.Name).sort()).toEqual([...names].sort());
    expect(await refused(on.docker.removeVolume('t-data'))).toMatch(/^EngineRefused: .*in use/);
    const all = async () => (await on.docker.volumes()).map((v) => v.Name);
    const second = await made('t-volumes-2', { HostConfig: { VolumesFrom: [id] } });
    expect((await look(second)).Mounts.map((m) => m.Name).sort()).toEqual([...names].sort());
    await on.docker.remove(second, { volumes: true });
    expect(await all()).toContain(anonymous);
    await on.docker.remove(id, { volumes: false });
    expect(await all()).toContain(anonymous);
    const third = await made('t-volumes-3', { HostConfig: { Binds: [`${anonymous}:/a`] } });
    await on.docker.remove(third, { volumes: true });
    expect(await all()).toEqual(expect.arrayContaining(['t-data', anonymous]));
    await on.docker.removeVolume(anonymous);
    expect(await all()).not.toContain(anonymous);
  });

  test('a container with volumes_from does not keep the volume', async () => {
    const id = await made('t-owner', { HostConfig: { Mounts: [{ Type: 'volume', Target: '/a' }] as never } });
    const [volume = ''] = (await look(id)).Mounts.map((m) => m.Name ?? '');
    await made('t-borrower', { HostConfig: { VolumesFrom: [id] } });
    await on.docker.remove(id, { volumes: true });
    expect((await on.docker.volumes()).map((v) => v.Name)).not.toContain(volume);
  });

  test('creating a volume of an existing name returns that volume', async () => {
    await on.docker.createVolume({ Name: 't-same', Labels: { first: 'yes' } });
    await on.docker.createVolume({ Name: 't-same', Labels: { second: 'yes' } });
    const [found, ...others] = (await on.docker.volumes()).filter((v) => v.Name === 't-same');
    expect(found).toMatchObject({ Driver: 'local', Labels: { first: 'yes' } });
    expect(others).toEqual([]);
    await on.docker.removeVolume('t-same');
    await on.docker.removeVolume('t-same');
  });
}
