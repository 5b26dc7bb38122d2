/** The contract for networks, and for the containers on them. */
import { expect, test } from 'vitest';
import type { DockerTools } from './docker-tools.ts';

export function networkPromises(on: DockerTools): void {
  const { made, started, look, refused } = on;

  const network = async (Name: string, Subnet?: string) => {
    await on.docker.createNetwork({
      Name,
      Labels: { who: 'me' },
      ...(Subnet ? { IPAM: { Config: [{ Subnet }] } as never } : {}),
    });
    const found = (await on.docker.networks()).find((n) => n.Name === Name);
    if (found === undefined) throw new Error(`network ${Name} is not there`);
    return found;
  };
  test('a network is created once; two networks cannot share a subnet', async () => {
    const made = await network('t-net', '10.199.0.0/24');
    expect(made).toMatchObject({ Driver: 'bridge', Internal: false, Attachable: false, Labels: { who: 'me' } });
    expect(made.IPAM?.Config?.[0]?.Subnet).toBe('10.199.0.0/24');
    expect(await refused(on.docker.createNetwork({ Name: 't-net', CheckDuplicate: true }))).toMatch(
      /^EngineRefused: .*already exists/,
    );
    expect(await refused(network('t-net-2', '10.199.0.0/16'))).toMatch(/^SubnetInUse: /);
    await on.docker.removeNetwork(made.Id);
    await on.docker.removeNetwork(made.Id);
    expect((await on.docker.networks()).map((n) => n.Name)).not.toContain('t-net');
  });

  test('a network cannot be removed while a container runs on it, and a stopped container cannot start without it', async () => {
    const net = await network('t-held');
    const id = await started('t-on', { HostConfig: { NetworkMode: 't-held' } });
    expect((await look(id)).NetworkSettings.Networks['t-held']).toMatchObject({ NetworkID: net.Id });
    expect((await look(id)).NetworkSettings.Networks['t-held']?.IPAddress).not.toBe('');
    expect(await refused(on.docker.removeNetwork(net.Id))).toMatch(/^EngineRefused: .*active endpoints/);
    await on.docker.stop(id, 0);
    await on.docker.removeNetwork(net.Id);
    expect(await refused(on.docker.start(id))).toMatch(/^EngineRefused: .*not found/);
  });

  test('a container can be connected and disconnected, running or not', async () => {
    const [one, two] = [await network('t-one'), await network('t-two')];
    const id = await made('t-moves', {
      HostConfig: { NetworkMode: 't-one' },
      NetworkingConfig: { EndpointsConfig: { 't-one': { Aliases: ['web'] } } },
    });
    await on.docker.connect('t-two', id, { Aliases: ['web', 'other'] });
    expect(Object.keys((await look(id)).NetworkSettings.Networks).sort()).toEqual(['t-one', 't-two']);
    await on.docker.start(id);
    const networks = (await look(id)).NetworkSettings.Networks;
    expect([networks['t-one']?.NetworkID, networks['t-two']?.NetworkID]).toEqual([one.Id, two.Id]);
    expect(networks['t-one']?.Aliases).toContain('web');
    expect(networks['t-two']?.Aliases).toEqual(expect.arrayContaining(['web', 'other']));
    expect(await refused(on.docker.connect('t-two', id, {}))).toMatch(/^EngineRefused: .*already exists in network/);
    await on.docker.disconnect(two.Id, id);
    expect(await refused(on.docker.disconnect('t-nowhere', id))).toMatch(
      /^EngineRefused: .*is not connected to the network/,
    );
    expect(Object.keys((await look(id)).NetworkSettings.Networks)).toEqual(['t-one']);
    await on.docker.connect('t-two', id, { Aliases: ['again'] });
    expect((await look(id)).NetworkSettings.Networks['t-two']?.Aliases).toContain('again');
  });

  test('a missing network prevents the start of a container', async () => {
    const id = await made('t-nonet', { HostConfig: { NetworkMode: 't-later' } });
    expect(await refused(on.docker.start(id))).toMatch(/^EngineRefused: .*t-later not found/);
    await network('t-later');
    await on.docker.start(id);
    expect((await look(id)).State.Running).toBe(true);
  });

  test("a container that shares another one's network needs that one running", async () => {
    const other = await made('t-other');
    const mode = { HostConfig: { NetworkMode: `container:${other}` } };
    const id = await made('t-shares', mode);
    expect(await refused(on.docker.start(id))).toMatch(/^EngineRefused: .*non running container/);
    await on.docker.start(other);
    await on.docker.start(id);
    await on.docker.remove(id, { volumes: true });
    await on.docker.remove(other, { volumes: true });
    expect(await refused(made('t-late', mode).then((late) => on.docker.start(late)))).toMatch(/No such container/);
  });
}
