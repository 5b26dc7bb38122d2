/** Projects that run in the lab, and that both tools start: directory → files. */

const app = (keys: string, more = '') => `services:\n  web:\n    image: infra:5000/app:1\n${keys}${more}`;
const keys = (...lines: string[]) => lines.map((line) => `    ${line}\n`).join('');

/** Each a stack of its own. Between them they use every key that is carried out and can run here. */
export const PROJECTS: Record<string, Record<string, string>> = {
  plain: { 'compose.yaml': app('') },
  process: {
    'compose.yaml': app(
      keys(
        'command: ["/bin/busybox", "sleep", "1000"]',
        'environment: {A: "1", B: two words, EMPTY: ""}',
        'working_dir: /www',
        'user: "0:0"',
        'hostname: box',
        'domainname: example.org',
        'tty: true',
        'stdin_open: true',
        'init: true',
        'stop_signal: SIGTERM',
        'stop_grace_period: 2s',
        'labels: {one: "1", two: zwei}',
        'annotations: {note: here}',
        'group_add: ["10", "20"]',
      ),
    ),
  },
  entry: {
    'compose.yaml': app(
      keys('entrypoint: ["/bin/busybox", "sleep"]', 'command: "1000"', 'restart: on-failure:3', 'env_file: a.env'),
    ),
    'a.env': 'FROM_FILE=yes\n',
  },
  limits: {
    'compose.yaml': app(
      keys(
        'mem_limit: 64m',
        'mem_reservation: 32m',
        'memswap_limit: 96m',
        'cpus: 0.5',
        'cpu_shares: 512',
        'cpuset: "0"',
        'pids_limit: 50',
        'shm_size: 8m',
        'oom_score_adj: 100',
        'ulimits: {nofile: {soft: 1000, hard: 2000}, nproc: 500}',
        'sysctls: {net.core.somaxconn: 200}',
        'restart: unless-stopped',
      ),
    ),
  },
  deploy: {
    'compose.yaml': app(
      keys(
        'deploy: {resources: {limits: {cpus: "0.25", memory: 48m, pids: 40}, reservations: {memory: 24m}}, restart_policy: {condition: on-failure, max_attempts: 2}}',
      ),
    ),
  },
  security: {
    'compose.yaml': app(
      keys(
        'read_only: true',
        'cap_add: [NET_ADMIN]',
        'cap_drop: [MKNOD, CHOWN]',
        'security_opt: ["no-new-privileges:true", "seccomp=unconfined"]',
        'tmpfs: ["/run", "/tmp:size=1m,mode=1777"]',
        'devices: ["/dev/null:/dev/nothing:rw"]',
        'device_cgroup_rules: ["c 1:3 rwm"]',
        'restart: always',
      ),
    ),
  },
  privileged: {
    'compose.yaml': app(keys('privileged: true', 'userns_mode: host', 'uts: host', 'ipc: host', 'pid: host')),
  },
  unmasked: {
    'compose.yaml': app(keys('security_opt: ["systempaths=unconfined"]', 'cgroup: private', 'ipc: shareable')),
  },
  names: {
    'compose.yaml': app(
      keys(
        'container_name: names-own',
        'dns: [192.0.2.1, 192.0.2.2]',
        'dns_search: [example.org]',
        'dns_opt: ["ndots:2"]',
        'extra_hosts: ["a.example:192.0.2.9", "gw:host-gateway"]',
        'expose: ["9000", "9001/udp"]',
        'ports: ["127.0.0.1:18081:8080", "18082:8080/udp", "9000"]',
      ),
    ),
  },
  mounts: {
    'compose.yaml': app(
      keys(
        'volumes:',
        '  - ./conf:/etc/conf:ro',
        '  - /srv:/srv:rslave',
        '  - data:/data',
        '  - data:/copy:nocopy',
        '  - /anonymous',
        '  - {type: tmpfs, target: /scratch, tmpfs: {size: 1048576, mode: 0o700}}',
        '  - {type: bind, source: /etc/hostname, target: /etc/host, read_only: true}',
        '  - {type: volume, source: data, target: /long, read_only: true}',
      ),
      'volumes:\n  data: {labels: {kept: "yes"}}\n',
    ),
    'conf/a.conf': 'a\n',
  },
  files: {
    'compose.yaml': app(
      keys('configs: [c, {source: c, target: /etc/c.conf}]', 'secrets: [s, {source: s, target: other}]'),
      'configs: {c: {file: ./c.conf}}\nsecrets: {s: {file: ./s.txt}}\n',
    ),
    'c.conf': 'config\n',
    's.txt': 'secret\n',
  },
  networks: {
    'compose.yaml': app(
      keys(
        'networks:',
        '  back: {aliases: [one, two], ipv4_address: 10.91.0.10, priority: 10}',
        '  front: {mac_address: "02:42:0a:5b:00:99"}',
      ),
      `networks:
  back: {driver: bridge, internal: true, ipam: {driver: default, config: [{subnet: 10.91.0.0/24, ip_range: 10.91.0.128/25, gateway: 10.91.0.1, aux_addresses: {router: 10.91.0.5}}]}}
  front: {name: front-own, attachable: true, labels: {tier: front}, driver_opts: {com.docker.network.bridge.name: br-front}}
`,
    ),
  },
  external: {
    'compose.yaml': app(
      keys('networks: [outside]', 'volumes: ["kept:/kept"]'),
      'networks: {outside: {external: true, name: outside}}\nvolumes: {kept: {external: true, name: kept}}\n',
    ),
  },
  host: { 'compose.yaml': app(keys('network_mode: host')) },
  none: { 'compose.yaml': app(keys('network_mode: none')) },
  bridge: { 'compose.yaml': app(keys('network_mode: bridge')) },
  pair: {
    'compose.yaml': `services:
  db:
    image: infra:5000/app:2
    healthcheck: {test: [CMD, "true"], interval: 1s, timeout: 2s, retries: 3, start_period: 1s, start_interval: 500ms}
    volumes: ["/left"]
  web:
    image: infra:5000/app:1
    depends_on: {db: {condition: service_healthy, restart: true}}
    links: [db, "db:base"]
  side:
    image: infra:5000/app:3
    command: ["/bin/busybox", "sleep", "1000"]
    network_mode: service:db
    pid: service:db
    volumes_from: [db]
`,
  },
  logging: {
    'compose.yaml': app(
      keys('logging: {driver: json-file, options: {max-size: 1m, max-file: "2"}}', 'healthcheck: {disable: true}'),
    ),
  },
  runtime: {
    'compose.yaml': app(
      keys('runtime: runc', 'platform: linux/amd64', 'cgroup_parent: /own', 'oom_kill_disable: true', 'mem_limit: 32m'),
    ),
  },
};
