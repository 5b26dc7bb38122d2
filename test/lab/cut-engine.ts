/**
 * The data of a lab host's Docker engine on a small disk of its own, so that it loses power as well: unpacked files without a
 * sync are lost. To be used while no container runs.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { CUT_OPTIONS, cutPlace, formatDisk, removePlace } from './cut-disk.ts';
import type { LabHost } from './host.ts';
import { run } from './run.ts';

const BYTES = 160 * 1024 * 1024;
const DATA = '/var/lib/docker';
const BOOT_ID = '/proc/sys/kernel/random/boot_id';

export interface CutEngine {
  /** Begins with an empty disk. */
  begin(): Promise<void>;
  /** Docker engine and disk lose power now, and the engine is started again, as by a boot. */
  cut(): Promise<void>;
  /** Paths of all programs of all layers, as the disk has them now, with their sizes in bytes. */
  programs(): Promise<Record<string, number>>;
  remove(): Promise<void>;
}

export function createCutEngine(host: LabHost): CutEngine {
  let work = '';
  let image = '';
  let device = '';
  let cuts = 0;
  const attach = async () => {
    device = (await run(['losetup', '--find', '--show', image])).stdout.trim();
    const { rdev } = statSync(device);
    // Device numbers of Linux: makedev(3).
    await host.sh(`[ -e ${device} ] || mknod ${device} b ${(rdev >> 8) & 0xfff} ${rdev & 0xff}
mount -o ${CUT_OPTIONS} ${device} ${DATA}`);
  };
  const detach = async () => {
    await host.sh(`umount -l ${DATA}`);
    await run(['losetup', '--detach', device]);
    device = '';
  };
  return {
    async begin() {
      work = await cutPlace();
      image = path.join(work, 'engine-0');
      writeFileSync(image, '');
      truncateSync(image, BYTES);
      await formatDisk(image);
      await host.sh('docker ps -aq | xargs -r docker rm -fv >/dev/null; systemctl stop docker.socket docker');
      await attach();
      await host.sh(`systemctl start docker; sync -f ${DATA}`);
    },
    async cut() {
      const before = image;
      image = path.join(work, `engine-${++cuts}`);
      await host.sh('systemctl kill -s KILL docker; systemctl stop docker.socket docker');
      await run(['cp', '--sparse=always', before, image]);
      await detach();
      rmSync(before);
      await attach();
      await host.write('/run/boot-id', `${randomUUID()}\n`);
      await host.sh(`mount --bind /run/boot-id ${BOOT_ID}; systemctl reset-failed docker; systemctl start docker`);
    },
    async programs() {
      const copy = path.join(work, 'copy');
      const at = path.join(work, 'mnt');
      await run(['cp', '--sparse=always', image, copy]);
      mkdirSync(at);
      await run(['mount', '-o', 'loop', copy, at]);
      try {
        const layers = path.join(at, 'overlay2');
        const files = existsSync(layers) ? readdirSync(layers).map((layer) => `${layer}/diff/bin/busybox`) : [];
        const found = files.filter((file) => existsSync(path.join(layers, file)));
        return Object.fromEntries(found.map((file) => [file, statSync(path.join(layers, file)).size]));
      } finally {
        await run(['umount', at]);
        rmSync(copy);
        rmSync(at, { recursive: true });
      }
    },
    async remove() {
      if (device !== '') await detach().catch(() => undefined);
      if (work !== '') await removePlace(work);
    },
  };
}
