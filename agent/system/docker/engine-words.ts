/**
 * Classifies refusals of the Docker engine by the text of its message: its API answers every refusal with status 409 or 500
 * and without a code. No other file looks at these texts.
 */
import type { ReasonCode } from '../../../manifests-schema/reasons.ts';

export interface Refusal {
  says: RegExp;
  code: ReasonCode;
  advice: string;
}

/** @returns what more is known of a refusal than what the engine says */
export const refusalOf = (text: string): Refusal | undefined => REFUSALS.find(({ says }) => says.test(text));

const textOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));

/** This very container is not there, as opposed to another one that its declaration names. */
export const saysGone = (thrown: unknown, id: string): boolean => textOf(thrown).includes(`No such container: ${id}`);

export const saysSameName = (thrown: unknown): boolean => /same name as its current name/.test(textOf(thrown));

export interface RefusedPort {
  /** null if the engine does not name it. */
  port: number | null;
  /** The engine's own book says that a container has it, as opposed to the kernel. */
  allocated: boolean;
}

/** `Bind for 0.0.0.0:80 failed: port is already allocated`, `listen tcp4 0.0.0.0:80: bind: address already in use`. */
export function refusedPort(said: string): RefusedPort {
  const [, allocated, bound] = /Bind for \S*:(\d+) failed|:(\d+): bind: address/.exec(said) ?? [];
  return {
    port: allocated || bound ? Number(allocated ?? bound) : null,
    allocated: /already allocated/.test(said),
  };
}

const REFUSALS: readonly Refusal[] = [
  {
    says: /port is already allocated|address already in use/,
    code: 'PortInUse',
    advice: 'free the port, or publish another',
  },
  {
    says: /cannot assign requested address/,
    code: 'AddressMissing',
    advice:
      'give an interface of this host that address (`ip -br address` lists them), or publish on another; it is tried again then',
  },
  {
    // Any other "no space left" may be a limit that was declared, of a volume or of a control group.
    says: /^(?!.*(?:cgroup|inotify|populate|\/volumes\/)).*no space left on device/s,
    code: 'DiskFull',
    advice: 'make room on the disk of the engine (`docker system df`)',
  },
  {
    says: /container is marked for removal/,
    code: 'ContainerMissing',
    advice: 'something else is removing it; it is recreated when it is gone',
  },
  {
    says: /non-overlapping IPv4 address pool|all predefined address pools/,
    code: 'AddressPoolsExhausted',
    advice:
      'remove networks that nobody uses (`docker network prune`), give this one a subnet of its own (`ipam`), or add `default-address-pools` to /etc/docker/daemon.json',
  },
  {
    says: /error gathering device information|no such device|could not select device driver/,
    code: 'DeviceMissing',
    advice: 'plug it in or load its driver; it is tried again then',
  },
  {
    says: /bind source path does not exist|error while mounting volume|failed to mount local volume|VolumeDriver\.Mount/,
    code: 'MountMissing',
    advice: 'create the path, or mount its file system; then it is tried again',
  },
  {
    says: /invalid reference format|invalid repository name/,
    code: 'InvalidImage',
    advice: 'write the name of the image as registry/path:tag',
  },
  {
    says: /toomanyrequests|429 Too Many Requests|pull rate limit/i,
    code: 'RateLimited',
    advice: 'it is tried again later',
  },
  { says: /Pool overlaps with other one/, code: 'SubnetInUse', advice: 'choose another subnet' },
];
