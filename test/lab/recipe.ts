/** The content of the lab's host images. A change here makes new images. */

export type Flavour = 'debian13' | 'debian12';

export interface Recipe {
  suite: string;
  packages: readonly string[];
  /** Packages of a later release of Debian: their programs replace those of `packages`, which keep their units and settings. */
  newer?: { suite: string; packages: readonly string[] };
}

const COMMON = [
  'systemd', 'systemd-sysv', 'dbus', 'docker.io', 'iptables', 'git', 'openssh-server', 'openssh-client', 'mosquitto', 'mosquitto-clients',
  'nginx-light', 'fcgiwrap', 'gitolite3', 'docker-registry', 'age', 'iproute2', 'procps', 'ca-certificates', 'curl', 'busybox-static',
]; // biome-ignore format: a list

export const RECIPES: Record<Flavour, Recipe> = {
  // Debian 13 splits the client off; its docker-compose is the v2 plugin. Docker 28 and docker compose 2.40 come from the next
  // release: they need no newer libc than Debian 13's.
  debian13: {
    suite: 'trixie',
    packages: [...COMMON, 'docker-cli', 'docker-compose'],
    newer: { suite: 'forky', packages: ['docker.io', 'docker-cli', 'containerd', 'runc', 'docker-compose'] },
  },
  debian12: { suite: 'bookworm', packages: COMMON },
};

/** Units that a host does not start by itself; the infra host starts those that it needs. */
export const MASKED = [
  'systemd-modules-load.service',
  'systemd-networkd-wait-online.service',
  'apt-daily.timer',
  'apt-daily-upgrade.timer',
  'systemd-firstboot.service',
  'getty@tty1.service',
  'console-getty.service',
];
export const DISABLED = [
  'mosquitto.service',
  'nginx.service',
  'docker-registry.service',
  'fcgiwrap.service',
  'fcgiwrap.socket',
  'ssh.service',
  'ssh.socket',
];

/** Mounts cgroups as a machine with cgroup v1 does (v2: unchanged), then starts systemd. */
const HOST_INIT = `#!/bin/sh
set -e
if [ ! -f /sys/fs/cgroup/cgroup.controllers ]; then
  umount -R /sys/fs/cgroup || true
  mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
  for c in cpu cpuacct cpuset memory devices freezer blkio pids; do
    mkdir -p /sys/fs/cgroup/$c
    mount -t cgroup -o $c cgroup /sys/fs/cgroup/$c || rmdir /sys/fs/cgroup/$c
  done
  mkdir -p /sys/fs/cgroup/systemd
  mount -t cgroup -o none,name=systemd systemd /sys/fs/cgroup/systemd
fi
exec /sbin/init
`;

const DAEMON_JSON = `${JSON.stringify({ 'insecure-registries': ['infra:5000'], 'log-driver': 'json-file', 'log-opts': { 'max-size': '1m' } })}\n`;

const NGINX = `server {
  listen 80 default_server;
  client_max_body_size 0;
  location ~ ^/git(/.*) {
    fastcgi_pass unix:/run/fcgiwrap.socket;
    include fastcgi_params;
    fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend;
    fastcgi_param GIT_HTTP_EXPORT_ALL 1;
    fastcgi_param GIT_PROJECT_ROOT /srv/git;
    fastcgi_param GIT_PROTOCOL $http_git_protocol;
    fastcgi_param PATH_INFO $1;
  }
}
`;

const MOSQUITTO = 'listener 1883\nallow_anonymous true\nmax_queued_messages 0\n';
const REGISTRY =
  'version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: /var/lib/docker-registry\n  delete:\n    enabled: true\nhttp:\n  addr: :5000\n';
const GITCONFIG =
  '[safe]\n\tdirectory = *\n[uploadpack]\n\tallowFilter = true\n\tallowAnySHA1InWant = true\n[init]\n\tdefaultBranch = main\n';

/** Path in the image → content; executable if it begins with #!. */
export const FILES: Record<string, string> = {
  'host-init': HOST_INIT,
  'etc/docker/daemon.json': DAEMON_JSON,
  'etc/nginx/sites-enabled/default': NGINX,
  'etc/mosquitto/conf.d/lab.conf': MOSQUITTO,
  'etc/docker/registry/config.yml': REGISTRY,
  'etc/gitconfig': GITCONFIG,
  // Tests restart the Docker engine more often than Debian's unit allows (three starts a minute).
  'etc/systemd/system/docker.service.d/lab.conf': '[Unit]\nStartLimitIntervalSec=0\n',
  // Keeps the journal in memory: a lab host lives for minutes.
  'etc/systemd/journald.conf.d/lab.conf': '[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\n',
};
