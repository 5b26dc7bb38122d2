/** A kernel setting, and manual changes of it. */
import type { Setup } from './setup.ts';

export const SYSCTLS: Record<string, Setup> = {
  'a kernel setting': {
    id: 'sysctl:net.ipv4.tcp_keepalive_time',
    files: { 'a.yaml': 'sysctls: {net.ipv4.tcp_keepalive_time: "600"}\n' },
    changed: { files: { 'a.yaml': 'sysctls: {net.ipv4.tcp_keepalive_time: "700"}\n' }, field: 'value' },
    exists: (host) => host.run('test', '-e', '/proc/sys/net/ipv4/tcp_keepalive_time'),
    drifts: (host) => [
      { what: 'set', act: () => host.act('sysctl', '-q', '-w', 'net.ipv4.tcp_keepalive_time=800'), field: 'value' },
      {
        what: 'edited for the next boot',
        act: () => host.act('sed', '-i', 's/= 600/= 900/', '/etc/sysctl.d/zz-fairlead.conf'),
        field: 'at boot',
      },
      {
        what: 'taken out of the file',
        act: () => host.act('rm', '/etc/sysctl.d/zz-fairlead.conf'),
        field: 'at boot',
      },
    ],
    stays: true,
  },
};
