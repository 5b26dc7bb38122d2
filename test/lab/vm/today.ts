/** Workloads of the virtual machine: stacks with limits, a confined unit, and a program with the rights of the agent's unit. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { LabHost } from '../host.ts';
import type { ExecResult } from '../run.ts';

/** Runs under docker compose before the agent is installed. */
export const MINE = `services:
  web:
    image: infra:5000/app:1
    stop_signal: SIGKILL
    mem_limit: 64m
    memswap_limit: 64m
    pids_limit: 20
    volumes: [data:/data]
volumes:
  data: {}
`;
/** A stack of one service with these limits, a line each. */
export const limited = (...limits: string[]) => `services:
  web:
    image: infra:5000/app:1
    stop_signal: SIGKILL
${limits.map((limit) => `    ${limit}\n`).join('')}`;
export const LIMITS = [
  'mem_limit: 64m',
  'mem_reservation: 32m',
  'memswap_limit: 96m',
  'cpus: 0.5',
  'pids_limit: 50',
  'cpuset: "0"',
];
export const OTHER_LIMITS = [
  'mem_limit: 96m',
  'mem_reservation: 48m',
  'memswap_limit: 128m',
  'cpus: 0.25',
  'pids_limit: 40',
  'cpuset: "0-1"',
];
const CONFINED = `[Service]
Type=exec
ExecStart=/bin/sleep infinity
DynamicUser=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateNetwork=yes
PrivateUsers=yes
ProtectKernelTunables=yes
ProtectControlGroups=strict
ProtectProc=invisible
NoNewPrivileges=yes
RestrictNamespaces=yes
MemoryDenyWriteExecute=yes
SystemCallFilter=@system-service
StateDirectory=confined
MemoryMax=64M
CPUQuota=20%
TasksMax=10
`;
/** Uses more memory than its limit. */
export const HOG = `services:
  hog:
    image: infra:5000/app:1
    mem_limit: 48m
    memswap_limit: 48m
    x-fairlead: {rollback: off}
    command: [/bin/busybox, dd, if=/dev/zero, of=/dev/null, bs=512M]
`;
const indent = (text: string) => text.replace(/^/gm, '      ').trimEnd();
/** A manifest with a unit that has every kind of confinement. */
export const confinedYaml = `units:
  confined.service:
    content: |
${indent(CONFINED)}
    state: started
`;
/** The story without healthchecks: its containers are well after ten steady seconds, which cost no process. */
export const PLAIN = { health: '' };

/** Runs a program with the rights of the agent's unit file, and so with those of everything that the agent starts. */
export function asAgent(host: LabHost, argv: readonly string[], env: Record<string, string> = {}): Promise<ExecResult> {
  const unit = readFileSync(path.join(import.meta.dirname, '../../../systemd/fairlead.service'), 'utf8');
  const own = unit
    .split('\n')
    .filter((line) => /^(NoNew|Capability|SystemCall|Restrict|Lock|Private|Protect|Keyring)\w+=/.test(line));
  const run = ['systemd-run', '--pipe', '--quiet', '--collect', ...own.map((line) => `--property=${line}`)];
  const variables = Object.entries(env).map(([name, value]) => `--setenv=${name}=${value}`);
  return host.exec([...run, ...variables, '--', ...argv], { timeoutMs: 300_000, check: false });
}
