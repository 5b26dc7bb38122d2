/** The systemd in memory, run against the contract of the real driver. */
import { lstatSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { systemdContract } from '../../contract/systemd.ts';
import { createFakeHost } from '../../fakes/host.ts';
import { untilIn } from '../../fakes/until.ts';

for (const isOld of [false, true])
  systemdContract(`a systemd in memory${isOld ? ', as of Debian 12' : ''}`, async () => {
    const { clock, root, systemd } = createFakeHost({ isOld });
    return {
      systemd: systemd.systemd,
      signals: systemd.signals,
      async write(file, text) {
        const at = root + file;
        rmSync(at, { force: true });
        if (text === null) return;
        mkdirSync(path.dirname(at), { recursive: true });
        if (text.startsWith('→ ')) symlinkSync(text.slice('→ '.length), at);
        else writeFileSync(at, text);
      },
      exists: async (file) => lstatSync(root + file, { throwIfNoEntry: false }) !== undefined,
      seesNewDropins: !isOld,
      kill: async (unit) => systemd.kill(unit),
      until: untilIn(clock),
    };
  });
