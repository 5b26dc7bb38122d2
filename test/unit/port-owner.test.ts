/** The owner of a port that the Docker engine refuses, from its message and the ports that its containers publish. */
import { expect, test } from 'vitest';
import type { PortSpec } from '../../agent/compose/stack/model.ts';
import { portRefused } from '../../agent/kinds/container/port-owner.ts';
import type { ContainerSummary } from '../../agent/system/docker/docker.ts';

const port = (published: string, more: Partial<PortSpec> = {}): PortSpec => ({
  ...{ target: 80, protocol: 'tcp', published, hostIp: '' },
  ...more,
});
const holding = (PublicPort: number) =>
  [
    { Names: ['/other'], Image: 'x:1', Ports: [] },
    { Names: ['/holder'], Image: 'x:2', Ports: [{ PrivatePort: 80, PublicPort, Type: 'tcp', IP: '0.0.0.0' }] },
  ] as unknown as ContainerSummary[];
const ALLOCATED = (at: string) =>
  `cannot start a container: driver failed (abc): Bind for ${at} failed: port is already allocated; free the port, or publish another`;
const BOUND =
  'cannot start a container: Error starting userland proxy: listen tcp4 0.0.0.0:8080: bind: address already in use; free the port, or publish another';

test.each<[string, string, PortSpec[], ContainerSummary[], RegExp]>([
  [
    'another container',
    ALLOCATED('0.0.0.0:8080'),
    [port('8080')],
    holding(8080),
    /^PortInUse .*; container holder \(x:2\) has it$/,
  ],
  [
    'a container with a range of one',
    ALLOCATED('0.0.0.0:8080'),
    [port('8080-8080')],
    holding(8080),
    /^PortInUse .*container holder/,
  ],
  [
    'a program of the host',
    BOUND,
    [port('8080')],
    [],
    /^PortInUse .*; a program of the host has it \(see `ss -ltnup`\)$/,
  ],
  ["a container, by the kernel's message", BOUND, [port('8080')], holding(8080), /^PortInUse .*container holder/],
  [
    'nobody',
    ALLOCATED('0.0.0.0:8080'),
    [port('8080')],
    [],
    /^EngineLostPort .*already allocated, and no container has it: .* restart of docker\.service mends/,
  ],
  ['nobody, for both address families', ALLOCATED(':::8080'), [port('8080')], [], /^EngineLostPort /],
  [
    'nobody, although another port of it is in use',
    ALLOCATED('0.0.0.0:8080'),
    [port('8080'), port('9090')],
    holding(9090),
    /^EngineLostPort /,
  ],
  [
    'nobody, if the other protocol is published as well',
    ALLOCATED('0.0.0.0:53'),
    [port('53'), port('53', { protocol: 'udp' })],
    [],
    /^EngineLostPort /,
  ],
  [
    'nobody, if each address has a different owner',
    ALLOCATED('10.0.0.1:80'),
    [port('80', { hostIp: '10.0.0.1' }), port('80', { hostIp: '127.0.0.1' })],
    [],
    /^EngineLostPort /,
  ],
  [
    'itself',
    ALLOCATED(':::8080'),
    [port('8080'), port('8080', { hostIp: '::' })],
    [],
    /^PortInUse .*; the service itself publishes it twice$/,
  ],
  [
    'the container itself, by a range',
    ALLOCATED('0.0.0.0:8081'),
    [port('8081-8082'), port('8081', { target: 81 })],
    [],
    /^PortInUse .*twice$/,
  ],
  ['an unknown port', 'port is already allocated', [port('8080')], [], /^PortInUse .*a program/],
])('%s has it', (_who, said, ports, containers, expected) => {
  const { code, message } = portRefused(said, ports, containers);
  expect(`${code} ${message}`).toMatch(expected);
});
