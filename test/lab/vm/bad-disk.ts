/** A small disk of a virtual machine that can be switched to return errors: targets of device-mapper (dmsetup(8)). */
import type { LabHost } from '../host.ts';

export interface BadDiskOptions {
  host: LabHost;
  /** Name of the device; unique on this machine. */
  name: string;
  /** The mount point. */
  place: string;
}

export interface BadDisk {
  /**
   * Creates it, with the existing content of its mount point, and mounts it there; ext4 makes it read-only after the first error.
   */
  make(): Promise<void>;
  /** From now on each read and each write of the device is an error (EIO), and nothing that was read before is cached. */
  break(): Promise<void>;
  /** From now on each read is an error; writes succeed. */
  breakReads(): Promise<void>;
  /** The device works again; the file system is unmounted as soon as nobody uses it, repaired, and mounted again. */
  mend(): Promise<void>;
}

export function createBadDisk({ host, name, place }: BadDiskOptions): BadDisk {
  const file = `/srv/${name}.img`;
  const device = `/dev/mapper/${name}`;
  const below = `$(cat /run/${name})`;
  const table = (target: string) => `"0 $(blockdev --getsz ${below}) ${target}"`;
  const change = (target: string) =>
    `dmsetup suspend --noflush ${name}; dmsetup reload ${name} --table ${table(target)}; dmsetup resume ${name}`;
  const healthy = `linear ${below} 0`;
  // Down for the whole of each second (dm-flakey.rst).
  const unreadable = `flakey ${below} 0 0 1 1 error_reads`;
  const forget = 'echo 3 > /proc/sys/vm/drop_caches';
  const mount = `mount -o errors=remount-ro ${device} ${place}`;
  return {
    async make() {
      await host.sh(`modprobe loop; truncate -s 64M ${file}; losetup -f --show ${file} > /run/${name}
dmsetup create ${name} --table ${table(healthy)}; mkfs.ext4 -q ${device}
mkdir -p /mnt/new ${place}; mount ${device} /mnt/new; cp -a ${place}/. /mnt/new; umount /mnt/new; ${mount}`);
    },
    async break() {
      await host.sh(`sync -f ${place}; ${change('error')}; ${forget}`);
    },
    async breakReads() {
      await host.sh(`sync -f ${place}; ${change(unreadable)}; ${forget}`);
    },
    async mend() {
      // A run that observes a file has it open for a moment. fsck exits with 1 if it repaired something.
      await host.sh(`${change(healthy)}; until umount ${place} 2> /dev/null; do sleep 0.2; done
fsck.ext4 -y ${device} > /dev/null || [ $? = 1 ]; ${mount}`);
    },
  };
}
