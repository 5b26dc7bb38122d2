/**
 * A lab host on which the agent loses power: its state and its managed files are on a small disk, and after a cut the host
 * continues with the content of that disk at that moment. The Docker engine and systemd lose nothing, so afterwards they may know
 * more than the agent does.
 */
import { readdirSync, readFileSync, readlinkSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { CUT_OPTIONS, cutPlace, formatDisk, removePlace } from './cut-disk.ts';
import type { LabHost } from './host.ts';
import { run, until } from './run.ts';

const BYTES = 96 * 1024 * 1024;
/** The field of the kernel's statistics of a disk (Documentation/block/stat.rst). */
const SECTORS_WRITTEN = 6;
const KEPT = ['/var/lib/fairlead', '/srv', '/etc/systemd/system'];

export interface CutHost {
  /** Mounts the disk below the durable directories. To be called before the agent is installed. */
  begin(): Promise<void>;
  /** The agent ends at once, and everything without a sync is lost. Nothing is started again. */
  cut(): Promise<void>;
  /** Starts the agent. */
  start(): Promise<void>;
  /** Bytes that reach the disk while `act` runs; unsynced data is synced before and after, so that none is missed. */
  written(act: () => Promise<unknown>): Promise<number>;
  remove(): Promise<void>;
}

/** @param options of the mount; by default those of a cut */
export function createCutHost(host: LabHost, options = CUT_OPTIONS): CutHost {
  let work = '';
  let image = '';
  let device = '';
  let cuts = 0;

  const attach = async () => {
    device = (await run(['losetup', '--find', '--show', image])).stdout.trim();
    const { rdev } = statSync(device);
    // Device numbers of Linux: makedev(3).
    const numbers = `${(rdev >> 8) & 0xfff} ${rdev & 0xff}`;
    await host.sh(`[ -e ${device} ] || mknod ${device} b ${numbers}
mkdir -p /disk ${KEPT.join(' ')}; mount -o ${options} ${device} /disk
for at in ${KEPT.join(' ')}; do
  [ -d "/disk$at" ] || { mkdir -p "/disk$at"; cp -a "$at/." "/disk$at/"; }
  mount --bind "/disk$at" "$at"
done
sync -f /disk`);
  };
  const detach = async () => {
    await host.sh(`umount -l ${KEPT.join(' ')} /disk`);
    await run(['losetup', '--detach', device]);
  };
  /** Requests of the kernel to the disk so far (Documentation/block/stat.rst). */
  const requests = () => readFileSync(`/sys/block/${path.basename(device)}/stat`, 'utf8');
  /** Process ids of the agent on this machine. */
  const agents = async () => {
    const ns = readlinkSync(`/proc/${await host.pid()}/ns/pid`);
    return readdirSync('/proc').filter((pid) => {
      try {
        return (
          /^\d+$/.test(pid) &&
          /fairlead\.cjs\0agent\0/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8')) &&
          readlinkSync(`/proc/${pid}/ns/pid`) === ns
        );
      } catch {
        return false;
      }
    });
  };

  return {
    async begin() {
      work = await cutPlace();
      image = path.join(work, 'disk-0');
      writeFileSync(image, '');
      truncateSync(image, BYTES);
      await formatDisk(image);
      await attach();
    },
    async cut() {
      const before = image;
      image = path.join(work, `disk-${++cuts}`);
      await host.freeze();
      // Only the kernel still writes, now and then: then the moment of the copy does not matter.
      await until('the disk to be idle', 60_000, async () => {
        const made = requests();
        await run(['cp', '--sparse=always', before, image]);
        return requests() === made;
      });
      const kill = async () => {
        for (const pid of await agents()) process.kill(Number(pid), 'SIGKILL');
      };
      await kill();
      await host.thaw();
      // An agent that systemd was about to start begins only now, on the disk that is removed.
      await until('the agent to be gone', 60_000, async () => {
        await kill();
        const { stdout } = await host.sh(
          'systemctl list-jobs --no-legend fairlead.service; systemctl is-active fairlead.service',
          { check: false },
        );
        return /^(inactive|failed)\n$/.test(stdout);
      });
      await detach();
      rmSync(before);
      await attach();
      await host.sh('systemctl daemon-reload; systemctl reset-failed fairlead.service');
    },
    async start() {
      await host.exec(['systemctl', 'start', '--no-block', 'fairlead.service']);
    },
    async written(act) {
      const bytes = async () => {
        await host.exec(['sync', '-f', '/disk']);
        // Sectors of 512 bytes, whatever those of the disk are.
        return Number(requests().trim().split(/\s+/)[SECTORS_WRITTEN]) * 512;
      };
      const before = await bytes();
      await act();
      return (await bytes()) - before;
    },
    async remove() {
      if (device !== '') await detach().catch(() => undefined);
      if (work !== '') await removePlace(work);
    },
  };
}
