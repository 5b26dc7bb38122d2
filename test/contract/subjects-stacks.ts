/** The parts of a stack on a Docker engine, and manual changes of them. */
import type { Subject } from './contract.ts';
import type { Hands } from './hands.ts';
import type { Setup } from './setup.ts';

const COMPOSE = `services:
  web:
    image: infra:5000/app:1
    hostname: box
    stop_grace_period: 1s
    networks: [front]
    volumes: ["data:/data", "./conf:/etc/box:ro"]
    ports: ["127.0.0.1:8081:8080"]
networks:
  front: {}
volumes:
  data: {}
`;
/** The stack, with one of its words replaced. */
const stack = (word = '', other = '') => ({
  'box/compose.yaml': COMPOSE.replace(word, other),
  'box/conf/a.conf': 'a=1\n',
});
const noEngine = (host: Hands): NonNullable<Subject['outage']> => ({
  begin: () => host.act('systemctl', 'stop', 'docker.socket', 'docker.service'),
  end: () => host.act('systemctl', 'start', 'docker.socket', 'docker.service'),
});

export const ENGINE: Record<string, Setup> = {
  'a network': {
    id: 'network:box/front',
    files: stack(),
    changed: {
      files: stack('front: {}', 'front: {internal: true}'),
      field: 'internal',
    },
    exists: (host) => host.run('docker', 'network', 'inspect', 'box_front'),
    drifts: (host) => [
      { what: 'removed', act: () => host.act('docker', 'network', 'rm', 'box_front'), field: 'state' },
    ],
    outage: noEngine,
  },
  'a service': {
    id: 'service:box/web',
    files: stack(),
    changed: { files: stack('hostname: box', 'hostname: crate'), field: 'hostname' },
    exists: (host) => host.run('docker', 'exec', 'box-web-1', '/bin/busybox', 'cat', '/etc/box/a.conf'),
    drifts: (host) => [
      { what: 'removed', act: () => host.act('docker', 'rm', '-f', 'box-web-1'), field: 'container' },
      { what: 'killed', act: () => host.act('docker', 'kill', 'box-web-1'), field: 'state' },
      {
        what: 'taken off its network',
        act: () => host.act('docker', 'network', 'disconnect', 'box_front', 'box-web-1'),
        field: 'networks',
      },
    ],
    outage: noEngine,
  },
};
export const VOLUME: Setup = {
  id: 'volume:box/data',
  files: stack(),
  changed: { files: stack(), field: '' },
  exists: (host) => host.run('docker', 'volume', 'inspect', 'box_data'),
  drifts: () => [],
};
