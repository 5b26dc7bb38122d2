/** Networks, volumes and images on a Docker engine in memory: what is found there, and what is done about it. */
import { describe, expect, test } from 'vitest';
import { MOVED } from '../../../agent/kinds/docker/labels.ts';
import { NOTHING, problems, stack, stackHost } from './stack-host.ts';

const on = stackHost();

describe('networks', () => {
  const NETWORK = 'networks: {default: {internal: true}}';
  test('with a foreign container is not recreated, and the container is not touched', async () => {
    await on.engine.apply(stack());
    await on.strangers('guest', { HostConfig: { NetworkMode: 'shop_default' } });
    const result = await on.engine.apply(stack('', NETWORK));
    expect(problems(result).join()).toMatch(
      /network:shop\/default NetworkInUse: .*guest, which fairlead did not create, is on it/,
    );
    expect(on.only('guest')).toMatchObject({ status: 'running' });
    expect([...on.only('guest').networks.keys()]).toEqual(['shop_default']);
    await on.host.engine.docker.remove('guest', { volumes: true });
    expect(problems(await on.engine.again())).toEqual([]);
    expect([...on.only('shop-web-1').networks.keys()]).toEqual(['shop_default']);
  });

  test('an external network that does not exist is reported', async () => {
    const external = 'networks: {default: {external: true, name: outside}}';
    expect(problems(await on.engine.apply(stack('', external))).join()).toMatch(
      /NetworkMissing: .*docker network create/,
    );
    await on.host.engine.docker.createNetwork({ Name: 'outside' });
    expect(problems(await on.engine.again())).toEqual([]);
    expect([...on.only('shop-web-1').networks.keys()]).toEqual(['outside']);
    await on.engine.apply(NOTHING);
    expect((await on.host.engine.docker.networks()).map((n) => n.Name)).toContain('outside');
  });

  test('a subnet that another network has is reported with that network', async () => {
    await on.host.engine.docker.createNetwork({
      Name: 'theirs',
      IPAM: { Config: [{ Subnet: '10.77.0.0/16' }] } as never,
    });
    const subnet = 'networks: {default: {ipam: {config: [{subnet: 10.77.3.0/24}]}}}';
    expect(problems(await on.engine.apply(stack('', subnet))).join()).toMatch(
      /SubnetInUse: subnet 10\.77\.3\.0\/24 .*overlaps with 10\.77\.0\.0\/16 of network theirs/,
    );
  });

  test('a network that somebody removed is recreated, and one that is in use stays when its stack is removed', async () => {
    await on.engine.apply(stack());
    await on.host.engine.docker.disconnect('shop_default', 'shop-web-1');
    await on.host.engine.docker.removeNetwork('shop_default');
    expect(problems(await on.engine.again())).toEqual([]);
    expect([...on.only('shop-web-1').networks.keys()]).toEqual(['shop_default']);
    await on.strangers('guest', { HostConfig: { NetworkMode: 'shop_default' } });
    const gone = await on.engine.apply(NOTHING);
    expect(problems(gone).join()).toMatch(/network:shop\/default NetworkInUse/);
    await on.host.engine.docker.remove('guest', { volumes: true });
    await on.engine.again();
    expect((await on.host.engine.docker.networks()).map((n) => n.Name)).not.toContain('shop_default');
  });
});

describe('volumes', () => {
  const keys = 'volumes: ["data:/data"]';
  const volume = (text: string) => `volumes: {data: {${text}}}`;
  const volumes = async () => (await on.host.engine.docker.volumes()).map((v) => v.Name);

  test('a volume that is no longer declared stays, with its data', async () => {
    await on.engine.apply(stack(keys, volume('')));
    await on.engine.apply(NOTHING);
    expect(on.names()).toEqual([]);
    expect(await volumes()).toEqual(['shop_data']);
  });

  test('a volume that is to be pruned waits until nothing uses it', async () => {
    await on.engine.apply(stack(keys, volume('x-fairlead: {prune: true}')));
    await on.strangers('guest', { HostConfig: { Binds: ['shop_data:/x'] } });
    const gone = await on.engine.apply(NOTHING);
    expect(problems(gone).join()).toMatch(/VolumeInUse: .*used by guest/);
    await on.host.engine.docker.remove('guest', { volumes: true });
    await on.engine.again();
    expect(await volumes()).not.toContain('shop_data');
  });

  test('a differing volume is not deleted', async () => {
    await on.engine.apply(stack(keys, volume('')));
    const other = volume('driver_opts: {type: tmpfs, device: tmpfs}');
    const { outcome, run } = await on.engine.apply(stack(keys, other));
    expect(run.sync).toBe('held');
    expect(outcome.message).toMatch(/volume shop_data is there, and differs .*driver_opts/);
    expect(await volumes()).toContain('shop_data');
  });

  test('anonymous volumes are kept by the next container, and removed with the last one', async () => {
    await on.engine.apply(stack());
    const before = on.only('shop-web-1').mounts.map((m) => m.Name);
    await on.engine.apply(stack('environment: {W: b}'));
    expect(on.only('shop-web-1').mounts.map((m) => m.Name)).toEqual(before);
    expect(on.only('shop-web-1').config.Labels[MOVED]).toBe(before.join());
    await on.engine.apply(NOTHING);
    expect(await volumes()).toEqual([]);
  });
});

describe('images', () => {
  test.each([
    ['manifest for app:1 not found: manifest unknown', /the registry has no such image or tag/],
    ['unauthorized: authentication required', /name one, or use `docker login`/],
    ['write /var/lib/docker/x: no space left on device', /the engine's disk is full/],
    ['Get "https://app/v2/": x509: certificate signed by unknown authority', /trusts a private CA/],
  ])('a pull that fails with `%s` stops nothing, and is retried', async (said, advice) => {
    await on.engine.apply(stack());
    const { id } = on.only('shop-web-1');
    on.host.engine.registry.fail('app:2', said);
    const failed = await on.engine.apply({
      'shop/compose.yaml': stack()['shop/compose.yaml'].replace('app:1', 'app:2'),
    });
    expect(problems(failed).join()).toMatch(advice);
    expect(on.only('shop-web-1')).toMatchObject({ id, status: 'running' });
    on.host.engine.registry.fail('app:2', null);
    expect(problems(await on.engine.again())).toEqual([]);
    expect(on.only('shop-web-1').config.Image).toBe('app:2');
  });

  test('a tag that moved recreates the container, if that is requested', async () => {
    await on.engine.apply(stack('pull_policy: always'));
    const before = on.only('shop-web-1').imageId;
    on.host.engine.registry.push('app:1', { config: { Cmd: ['httpd'] }, content: 'newer' });
    const result = await on.engine.again({ force: true });
    expect(problems(result)).toEqual([]);
    expect(on.only('shop-web-1').imageId).not.toBe(before);
  });

  test('an image that is here is not pulled, and `never` pulls nothing', async () => {
    await on.engine.apply(stack());
    await on.engine.apply(stack('environment: {W: b}'));
    expect(on.host.engine.registry.pulled).toEqual(['app:1']);
    const never = { 'shop/compose.yaml': 'services: {web: {image: "nowhere:1", pull_policy: never}}\n' };
    expect(problems(await on.engine.apply(never)).join()).toMatch(/ImageMissing/);
    expect(on.host.engine.registry.pulled).toEqual(['app:1']);
  });
});
