/** The content of the lab's virtual machine, and its start. A change here makes a new image and a new saved state. */
import { readFileSync } from 'node:fs';
import path from 'node:path';

export const SUITE = 'forky';
export const PACKAGES = [
  'systemd', 'systemd-sysv', 'dbus', 'udev', 'kmod', 'linux-image-cloud-amd64', 'dracut', 'docker.io', 'docker-cli', 'docker-compose', 'iptables',
  'git', 'openssh-client', 'busybox-static', 'iproute2', 'procps', 'ca-certificates', 'curl', 'dmsetup', 'e2fsprogs', 'age',
]; // biome-ignore format: a list

export const ROOT_SIZE = '3G';
/** Sparse; formatted for each machine, from outside. */
export const DATA_BYTES = 3 * 1024 ** 3;
export const MEMORY_MB = 1536;

/** In the guest: eth0 leads to the lab and can be unplugged, eth1 is for commands. Docker avoids networks that have a route. */
const NETWORK = `#!/bin/sh
modprobe virtio_net
while [ ! -e /sys/class/net/eth1 ]; do sleep 0.2; done
for each in lo eth0 eth1; do ip link set $each up; done
ip addr add 10.0.3.15/24 dev eth1
ip addr add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
ip route add 172.30.0.0/16 via 10.0.2.2
`;
const AGENT_UNIT = `[Unit]
Description=Commands of the lab
DefaultDependencies=no
After=systemd-udev-trigger.service
[Service]
ExecStartPre=-/usr/local/lib/lab-net
ExecStart=/usr/bin/perl /usr/local/lib/lab-agent.pl
Restart=always
OOMScoreAdjust=-1000
TasksMax=infinity
[Install]
WantedBy=sysinit.target
`;

/**
 * Directories that must survive a power cut, on the second disk: path → directory below /data. The root disk is that of the saved
 * state again after each cut.
 */
export const KEPT: readonly string[] = [
  '/etc',
  '/srv',
  '/opt',
  '/var/lib/fairlead',
  '/var/cache/fairlead',
  '/var/lib/docker',
  '/var/lib/containerd',
  '/usr/lib/fairlead',
  '/usr/local/bin',
];

/**
 * Mounts the second disk; each machine gets it when it is resumed, so it is not part of the image. The agent's node is large, and
 * stays on the root disk. The options make the cut realistic: without `noauto_da_alloc` ext4 would by itself write the content of
 * a file that is renamed over another one. $1: the device.
 */
export const MOUNT = `#!/bin/sh
set -e
if [ ! -e /usr/lib/lab-node ]; then
  mv /usr/lib/fairlead/node /usr/lib/lab-node
  ln -s /usr/lib/lab-node /usr/lib/fairlead/node
fi
mount -t ext4 -o noauto_da_alloc "$1" /data
for at in ${KEPT.join(' ')}; do
  mkdir -p "$at"
  if [ ! -d "/data$at" ]; then
    mkdir -p "/data$(dirname "$at")"
    cp -a "$at" "/data$at"
  fi
  mount --bind "/data$at" "$at"
done
sync -f /data
`;

/** The kernel has ext4 but not the driver of the disk. */
export const INITRD_INIT = `#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox insmod /virtio_blk.ko
while [ ! -b /dev/vda ] || [ ! -b /dev/vdb ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 /dev/vda /new
if /bin/busybox grep -q lab.data /proc/cmdline; then
  /bin/busybox mount --move /dev /new/dev
  /bin/busybox chroot /new /usr/local/lib/lab-mount /dev/vdb
fi
exec /bin/busybox switch_root /new /sbin/init
`;

export const MASKED = [
  'apt-daily.timer',
  'apt-daily-upgrade.timer',
  'dpkg-db-backup.timer',
  'e2scrub_all.timer',
  'e2scrub_reap.service',
  'systemd-firstboot.service',
  'systemd-networkd-wait-online.service',
  'getty@tty1.service',
  'serial-getty@ttyS0.service',
];
export const ENABLED = ['lab-agent.service'];

const DOCKER = {
  'insecure-registries': ['infra:5000'],
  'log-driver': 'json-file',
  'log-opts': { 'max-size': '1m' },
};

/** Docker does not need containerd's plugins for Kubernetes, which take most of its start. */
export const CONTAINERD = `version = 3
disabled_plugins = ["io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri", "io.containerd.nri.v1.nri"]
`;

/** Path → content; executable if it begins with #!. */
export const FILES: Record<string, string> = {
  'etc/hostname': 'vm\n',
  'etc/hosts': '127.0.0.1 localhost\n127.0.1.1 vm\n',
  'etc/resolv.conf': 'nameserver 10.0.2.3\n',
  'etc/docker/daemon.json': `${JSON.stringify(DOCKER)}\n`,
  'etc/systemd/system/lab-agent.service': AGENT_UNIT,
  'etc/systemd/system/docker.service.d/lab.conf': '[Unit]\nStartLimitIntervalSec=0\n',
  'etc/systemd/journald.conf.d/lab.conf': '[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\n',
  'usr/local/lib/lab-agent.pl': readFileSync(path.join(import.meta.dirname, 'guest-agent.pl'), 'utf8'),
  'usr/local/lib/lab-net': NETWORK,
};

/** Work that a kernel without hardware virtualization need not do. */
export const KERNEL = [
  'root=/dev/vda rw console=ttyS0 net.ifnames=0 quiet mitigations=off nowatchdog random.trust_cpu=on',
  'rcupdate.rcu_cpu_stall_suppress=1 TERM=dumb systemd.default_timeout_start_sec=900',
].join(' ');
