/** The daemon and the command line under test are the bundle, as on a host; it also starts three times as fast as the sources. */
import { execFileSync } from 'node:child_process';
import path from 'node:path';

export default function setup(): void {
  execFileSync(process.execPath, [path.join(import.meta.dirname, '../../packaging/build.ts')], { stdio: 'inherit' });
}
