/**
 * The Docker engine of the lab beside another one: it takes nothing from it, is stopped only if nobody uses it, and leaves
 * nothing behind.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from './run.ts';

/** A lab directory of its own, so an engine of its own: for this test the suite's own engine is the machine's other one. */
const dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-engine-'));
/** No engine listens at this `DOCKER_HOST`, so the lab does not use the machine's. */
const env = { FAIRLEAD_LAB_DIR: dir, DOCKER_HOST: `unix://${dir}/none.sock` };
const ENGINE = path.join(import.meta.dirname, 'engine.ts');
const MINUTES = 5 * 60_000;

/** Requests the engine, reports it, and runs until its standard input ends. */
const USER = `import { ensureEngine } from ${JSON.stringify(ENGINE)};
const docker = await ensureEngine(() => undefined);
await docker(['network', 'create', '--label', 'fairlead-lab', '--opt', 'com.docker.network.bridge.name=fairlead-left', 'left']);
process.stdout.write('up');
process.stdin.on('end', () => process.exit()).resume();`;

const lab = async (...args: string[]) =>
  (await run(['node', path.join(import.meta.dirname, 'cli.ts'), ...args], { env })).stdout;
const sh = async (script: string) => (await run(['sh', '-ec', script])).stdout;
const bridges = () => sh('ip -brief link show type bridge');
const ours = () =>
  sh(`iptables -w -S; iptables -w -t nat -S`).then((all) => all.split('\n').filter((rule) => rule.includes(dir)));

/** The parts of another engine of this machine that a second one could take away. */
const FOREIGN = '-m comment --comment fairlead-test-foreign -j RETURN';
const makeForeign = () =>
  sh(`ip link show docker0 >/dev/null 2>&1 || { ip link add docker0 type bridge; ip link set docker0 alias fairlead-test; }
ip address show dev docker0 | grep -q 'inet ' || ip address add 172.29.0.1/24 dev docker0
iptables -w -N DOCKER 2>/dev/null || true
iptables -w -A DOCKER ${FOREIGN}`);
const foreign = () => sh(`ip -brief -4 address show dev docker0; iptables -w -S DOCKER | grep foreign`);
const removeForeign = () =>
  sh(`iptables -w -D DOCKER ${FOREIGN} || true
iptables -w -X DOCKER 2>/dev/null || true
ip link show docker0 | grep -q 'alias fairlead-test' && ip link delete docker0 || true`);

let user: ChildProcess;
let before: string;

beforeAll(async () => {
  await makeForeign();
  before = await foreign();
  user = spawn('node', ['--input-type=module', '-e', USER], {
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  if (!user.stdout) throw new Error('no output');
  await once(user.stdout, 'data');
}, MINUTES);
afterAll(async () => {
  user?.kill('SIGKILL');
  await lab('down', '--all');
  await removeForeign();
  rmSync(dir, { recursive: true, force: true });
}, MINUTES);

test("the lab's Docker engine takes neither docker0 nor the firewall rules of another engine", async () => {
  expect(await foreign()).toBe(before);
  expect(await ours()).toHaveLength(3);
});

test('`down --all` leaves the engine running while somebody uses it', async () => {
  expect(await lab('down', '--all')).toMatch(/no lab was up\n.*the engine goes on: another lab, or a test, uses it/);
  expect(existsSync(path.join(dir, 'docker.sock'))).toBe(true);
});

test('once the user of the engine was killed, `down --all` stops it with everything that was left, and removes its rules', async () => {
  user.kill('SIGKILL');
  await once(user, 'exit');
  expect(await bridges()).toContain('fairlead-left');
  expect(await lab('down', '--all')).toMatch(/stopped the engine/);
  expect(await bridges()).not.toContain('fairlead-left');
  expect(await ours()).toEqual([]);
  expect(await foreign()).toBe(before);
});

test('`down --all` does not start an engine in order to stop it', async () => {
  expect(await lab('down', '--all')).toMatch(/no engine of the lab runs/);
  expect(existsSync(path.join(dir, 'docker.sock'))).toBe(false);
});
