/** `npm run test:fast`: the checks and all pure tests, side by side, because neither keeps two cores busy by itself. */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';

const check = spawn('node', ['packaging/check.ts'], { stdio: ['ignore', 'pipe', 'pipe'] });
const pure = spawn('vitest', ['run', '--project', 'pure'], { stdio: 'inherit' });
const codeOf = (child: ReturnType<typeof spawn>) =>
  new Promise<number>((resolve, reject) => child.on('error', reject).on('close', (code) => resolve(code ?? 1)));

const [said, wrong, ...codes] = await Promise.all([
  text(check.stdout),
  text(check.stderr),
  codeOf(check),
  codeOf(pure),
]);
process.stdout.write(said);
process.stderr.write(wrong);
process.exitCode = codes.some((code) => code !== 0) ? 1 : 0;
