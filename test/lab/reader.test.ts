/** The unpacking process, as systemd starts it: the limits of code in it, and that the agent uses it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import { confined } from '../../agent/system/confined.ts';
import { fairlead, installAgent, NODE, statusWhere } from './agent.ts';
import { type Lab, startLab } from './lab.ts';

const NODE_HERE = path.join(import.meta.dirname, '../../node_modules/node/bin/node');
let lab: Lab;
let dir: string;
beforeAll(async () => {
  lab = await startLab({ name: 'reader', hosts: [{ name: 'edge-1' }, { name: 'edge-2', flavour: 'debian12' }] });
  dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-reader-'));
});
afterAll(async () => {
  rmSync(dir, { recursive: true, force: true });
  await lab?.stop();
});

const TRIES = `
  import fs from 'node:fs'; import net from 'node:net'; import child from 'node:child_process';
  const said = {};
  const attempt = (name, work) => { try { said[name] = work() ?? 'done'; } catch (e) { said[name] = 'no: ' + (e.code ?? e.message); } };
  attempt('shadow', () => { fs.readFileSync('/etc/shadow'); });
  attempt('key', () => { fs.readFileSync('/var/lib/fairlead/age.key'); });
  attempt('root', () => fs.readdirSync('/').sort().join(' '));
  attempt('write', () => { fs.writeFileSync('/tmp/x', 'x'); });
  attempt('run', () => { const { error } = child.spawnSync(process.execPath, ['-e', '0']); if (error) throw error; });
  attempt('memory', () => { const all = []; for (let i = 0; i < 32; i++) all.push(Buffer.alloc(64 * 1024 * 1024, 1)); });
  said.uid = process.getuid();
  const tell = (how) => { said.connect = how; fs.writeSync(1, JSON.stringify(said)); process.exit(0); };
  try { net.connect(22, '127.0.0.1').on('connect', () => tell('done')).on('error', (e) => tell('no: ' + e.code)); } catch (e) { tell('no: ' + e.code); }
`;

test.each(['edge-1', 'edge-2'])(
  'code in it can do nothing, with Node’s permission model and without: %s',
  async (name) => {
    const host = lab.host(name);
    await host.exec(['mkdir', '-p', '/usr/lib/fairlead']);
    await host.copyIn(NODE_HERE, NODE);
    writeFileSync(path.join(dir, 'tries.mjs'), TRIES);
    await host.copyIn(path.join(dir, 'tries.mjs'), '/opt/tries.mjs');
    const [way] = confined({ script: '/opt/tries.mjs', node: NODE, uid: 0, slot: 1, hasSystemd: true });
    if (way?.name !== 'systemd') throw new Error('not by systemd');
    for (const isLocked of [true, false]) {
      // Node's own restrictions are not what protects: a bug in Node would remove them.
      const argv = isLocked ? way.argv : way.argv.filter((word) => !/^--(permission|allow-fs)/.test(word));
      const { stdout } = await host.exec([...argv], { timeoutMs: 60_000 });
      const said = JSON.parse(stdout);
      expect(said).toMatchObject({
        shadow: expect.stringMatching(/^no: /),
        key: expect.stringMatching(/^no: /),
        write: expect.stringMatching(/^no: /),
        run: expect.stringMatching(/^no: /),
        memory: expect.stringMatching(/^no: /),
        connect: expect.stringMatching(/^no: /),
      });
      expect(said.uid).toBeGreaterThan(60_000);
      if (!isLocked) expect(said.root).not.toMatch(/\b(home|root|var|boot)\b/);
    }
  },
);

test('a process that hangs is ended by the name of its unit, since the end of systemd-run ends no unit', async () => {
  const host = lab.host('edge-2');
  writeFileSync(path.join(dir, 'hangs.mjs'), 'setInterval(() => {}, 1000);');
  await host.copyIn(path.join(dir, 'hangs.mjs'), '/opt/hangs.mjs');
  const [way] = confined({ script: '/opt/hangs.mjs', node: NODE, uid: 0, slot: 1, hasSystemd: true });
  const named = way?.named?.('lab');
  if (named === undefined) throw new Error('not by systemd');
  const inBackground = '"$0" "$@" < /dev/zero > /dev/null 2>&1 & echo $!';
  const { stdout: client } = await host.exec(['sh', '-c', inBackground, ...named.argv]);
  const state = async () =>
    (await host.exec(['systemctl', 'is-active', 'fairlead-unpacks-lab.service'], { check: false })).stdout.trim();
  await expect.poll(state).toBe('active');
  await host.sh(`kill -9 ${client.trim()}; while kill -0 ${client.trim()} 2>/dev/null; do sleep 0.1; done`);
  expect(await state()).toBe('active');
  await host.exec([...named.kill]);
  await expect.poll(state).toBe('inactive');
});

test('a host follows its repository through it, and only a shell without rights stays between fetches', async () => {
  const host = lab.host('edge-1');
  onTestFailed(async () => console.error(await host.journal('fairlead.service')));
  const repo = await lab.infra.createRepo('fleet');
  await repo.commit({ 'hosts/edge-1/a.yaml': 'files: {/etc/x: {content: "x"}}\n' }, 'First');
  await installAgent(host, { repoUrl: repo.httpUrl });
  const synced = (what: string) =>
    statusWhere(lab.infra, 'edge-1', what, (s) => s.sync === 'synced' && s.health === 'healthy');
  await synced('synced');
  expect((await host.exec(['cat', '/etc/x'])).stdout).toBe('x');
  expect(await host.journal('fairlead.service')).not.toMatch(/cannot be read by a process/);
  const { stdout } = await host.sh('journalctl --sync; journalctl --no-pager -o cat _PID=1');
  expect(stdout).toMatch(/unpacks what a git server sent to fairlead/);
  // Processes with a user id that no account has.
  const others = async () => {
    const { stdout } = await host.exec(['ps', '-eo', 'pid=,uid=,comm=']);
    return stdout.split('\n').flatMap((line) => {
      const [pid, uid, name] = line.trim().split(/\s+/);
      return Number(uid) > 60_000 && Number(uid) < 61_200 ? [{ pid, name }] : [];
    });
  };
  await expect.poll(others).toEqual([{ pid: expect.any(String), name: 'sh' }]);
  const [{ pid } = { pid: '' }] = await others();
  const status = (await host.exec(['cat', `/proc/${pid}/status`])).stdout;
  expect(status).toMatch(/^CapEff:\t0+$/m);
  expect(status).toMatch(/^NoNewPrivs:\t1$/m);
  expect(status).toMatch(/^Seccomp:\t2$/m);
  expect((await host.exec(['ls', `/proc/${pid}/root`])).stdout).not.toMatch(/\b(home|root|var|boot)\b/);
  // The next fetch uses it, and the end of the agent ends it.
  await repo.commit({ 'hosts/edge-1/a.yaml': 'files: {/etc/x: {content: "y"}}\n' }, 'Second');
  await fairlead(host, 'sync');
  expect((await host.exec(['cat', '/etc/x'])).stdout).toBe('y');
  await expect.poll(others).toEqual([{ pid: expect.not.stringMatching(`^${pid}$`), name: 'sh' }]);
  await host.exec(['systemctl', 'kill', '--signal=KILL', '--kill-whom=main', 'fairlead.service']);
  await host.exec(['systemctl', 'stop', 'fairlead.service']);
  await expect.poll(others).toEqual([]);
});
