/**
 * `npm run soak -- packages`: all packages as a release builds them, checked with `npm run package -- --check`, and the .deb on
 * Debian's next release. It takes most of an hour.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { checkPackages } from '../../packaging/check-packages.ts';
import { buildNewerRpm, buildPackages } from '../../packaging/package.ts';
import { ensurePrograms } from '../lab/packages.ts';
import { playOnMachine } from './machine-packages.ts';

const NEWER = '9.0.0';
const TOOLS = {
  ...{ 'dpkg-deb': 'dpkg', strip: 'binutils', 'aarch64-linux-gnu-strip': 'binutils-aarch64-linux-gnu' },
  ...{ lintian: 'lintian', rpmbuild: 'rpm', rpmlint: 'rpmlint', 'qemu-aarch64': 'qemu-user' },
};

await ensurePrograms(TOOLS);
// The emulator needs the libraries of the other architecture: they have no program that could be searched for.
await ensurePrograms({ 'libstdc++6-arm64-cross': 'libstdc++6-arm64-cross' });
const work = mkdtempSync(path.join(os.tmpdir(), 'fairlead-soak-'));
try {
  const build = (out: string) => buildPackages({ out });
  const made = await build(path.join(work, 'made'));
  const isGood = await checkPackages({ made, fast: false, build, buildNewerRpm });
  const [newer = ''] = await buildPackages({
    out: path.join(work, 'newer'),
    archs: ['x64'],
    formats: ['deb'],
    fast: true,
    version: NEWER,
    replaced: { 'agent/store/schema/migrations.ts': 'test/lab/upgrade/migrations.ts' },
  });
  const now = made.find((file) => file.endsWith('_amd64.deb')) ?? '';
  await playOnMachine({ now, newer, newerVersion: NEWER });
  process.exitCode = isGood ? 0 : 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}
