/**
 * The agent on a current host, a virtual machine with cgroup v2 and the newest systemd and Docker: the main job, every limit of a
 * service, adoption, drift, confined units, and the confinement of the agent itself.
 *
 * Without hardware virtualization each run of the agent takes up to a minute there, so the tests share three commits.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFailed, test } from 'vitest';
import type { PlanDocument } from '../../../agent/control/protocol.ts';
import { confined } from '../../../agent/system/confined.ts';
import { differing, fairlead, identities, installAgent, statusWhere } from '../agent.ts';
import { apiOf } from '../api.ts';
import { type FleetRepo, type Lab, type LabHost, startLab, until } from '../lab.ts';
import { composeYaml, hostFiles, systemYaml, watched } from '../story.ts';
import { whyNone } from './need.ts';
import { asAgent, confinedYaml, HOG, LIMITS, limited, MINE, OTHER_LIMITS, PLAIN } from './today.ts';

const H = 'hosts/vm-1';
const MIB = 2 ** 20;
const WAIT_MS = 600_000;
const none = await whyNone();

describe.skipIf(none !== null)('on a current host', { timeout: 900_000 }, () => {
  let lab: Lab;
  let host: LabHost;
  let repo: FleetRepo;
  /** `mine` as docker compose left it. */
  let mine: Record<string, string>;
  const out = async (script: string) => (await host.sh(script)).stdout.trim();
  const mineNow = () => identities(host, { files: [], units: [], containers: ['mine-web-1'] });
  const idOf = (container: string) => out(`docker inspect -f '{{.Id}}' ${container}`);
  /** Limits of a container's control group, in the kernel. */
  const groupOf = async (container: string) => {
    const names = ['memory.max', 'memory.low', 'memory.swap.max', 'cpu.max', 'pids.max', 'cpuset.cpus'];
    const found = await out(`pid=$(docker inspect -f '{{.State.Pid}}' ${container})
cd /sys/fs/cgroup$(sed 's/^0:://' /proc/$pid/cgroup); for name in ${names.join(' ')}; do echo "$name $(cat $name)"; done`);
    return Object.fromEntries(found.split('\n').map((line) => [line.split(' ')[0], line.replace(/^\S+ /, '')]));
  };

  beforeAll(async () => {
    lab = await startLab({ name: 'vm', hosts: [{ name: 'vm-1', flavour: 'vm', firewall: false }] });
    host = lab.host('vm-1');
    repo = await lab.infra.createRepo('fleet');
    await host.write('/opt/mine/compose.yaml', MINE);
    await host.exec(['docker', 'compose', '--progress', 'quiet', '-f', '/opt/mine/compose.yaml', 'up', '-d'], {
      timeoutMs: WAIT_MS,
    });
    mine = await mineNow();
    const files = {
      ...hostFiles('vm-1', PLAIN),
      [`${H}/mine/compose.yaml`]: MINE,
      [`${H}/lim/compose.yaml`]: limited(...LIMITS),
      [`${H}/confined.yaml`]: confinedYaml,
    };
    const first = await repo.commit(files, 'Set up vm-1');
    await installAgent(host, { repoUrl: repo.httpUrl });
    await statusWhere(
      lab.infra,
      'vm-1',
      'well at its first commit',
      (s) => s.sync === 'synced' && s.health === 'healthy' && s.applied?.commit === first,
      WAIT_MS,
    );
  }, 1_800_000);
  afterAll(async () => lab?.stop());
  beforeEach(() => onTestFailed(async () => console.error(await host.journal('fairlead.service'))));

  test('a stack that runs under docker compose is adopted as it is', async () => {
    expect(await mineNow()).toEqual(mine);
  });

  test('limits of memory, processor and processes arrive in the kernel', async () => {
    expect(await groupOf('lim-web-1')).toEqual({
      'memory.max': String(64 * MIB),
      'memory.low': String(32 * MIB),
      'memory.swap.max': String(32 * MIB),
      'cpu.max': '50000 100000',
      'pids.max': '50',
      'cpuset.cpus': '0',
    });
  });

  test('a unit with every kind of confinement is verified, started and limited', async () => {
    const shown = await out(
      'systemctl show -p ActiveState -p MemoryMax -p TasksMax -p DynamicUser confined.service | sort; cat /sys/fs/cgroup/system.slice/confined.service/memory.max',
    );
    expect(shown.split('\n')).toEqual([
      'ActiveState=active',
      'DynamicUser=yes',
      `MemoryMax=${64 * MIB}`,
      'TasksMax=10',
      String(64 * MIB),
    ]);
  });

  test('a commit changes one file, one unit, one image and the limits of a running container, and nothing else', async () => {
    const before = await identities(host, watched);
    const [id, limitedId] = [await idOf('shop-db-1'), await idOf('lim-web-1')];
    await repo.commit(
      {
        [`${H}/files/motd`]: 'changed\n',
        [`${H}/system.yaml`]: systemYaml({ loop: 'two' }),
        [`${H}/shop/compose.yaml`]: composeYaml({ webImage: 'infra:5000/app:2', ...PLAIN }),
        [`${H}/lim/compose.yaml`]: limited(...OTHER_LIMITS),
      },
      'Change four things',
    );
    const changed = ['file:/etc/app/motd', 'service:lim/web', 'service:shop/web', 'unit:loop.service'];
    const plan = await apiOf(host).get<PlanDocument>('plan');
    expect(plan?.actions.map((action) => action.id).sort()).toEqual(changed);
    const done = await apiOf(host).sync();
    expect(done?.status.sync).toBe('synced');
    expect(done?.run.changed).toBe(changed.length);
    const after = await identities(host, watched);
    expect(differing(before, after)).toEqual([
      '/etc/app/motd',
      '/etc/systemd/system/loop.service',
      'loop.service',
      'shop-web-1',
    ]);
    expect(await groupOf('lim-web-1')).toEqual({
      'memory.max': String(96 * MIB),
      'memory.low': String(48 * MIB),
      'memory.swap.max': String(32 * MIB),
      'cpu.max': '25000 100000',
      'pids.max': '40',
      'cpuset.cpus': '0-1',
    });
    expect([await idOf('shop-db-1'), await idOf('lim-web-1')]).toEqual([id, limitedId]);
    const quiet = await apiOf(host).sync();
    expect(quiet?.run.changed).toBe(0);
    expect(differing(after, await identities(host, watched))).toEqual([]);
  });

  test('drift of a file, of a unit, of a container and of its limits is repaired', async () => {
    const before = await idOf('mine-web-1');
    const gone = await idOf('shop-db-1');
    await host.sh(`echo tampered > /etc/app/app.conf; systemctl stop steady.service; docker rm -f shop-db-1
docker update --memory 80m --memory-swap 80m --pids-limit 30 mine-web-1`);
    await until('all to be repaired', WAIT_MS, async () => {
      const found = await out(
        "cat /etc/app/app.conf; systemctl is-active steady.service || true; docker inspect -f '{{.State.Running}}' shop-db-1",
      );
      return found === 'hello\nactive\ntrue';
    });
    await until('the limits to be back', WAIT_MS, async () => {
      const group = await groupOf('mine-web-1');
      return group['memory.max'] === String(64 * MIB) && group['pids.max'] === '20';
    });
    expect(await idOf('shop-db-1')).not.toBe(gone);
    expect(await idOf('mine-web-1')).toBe(before);
  });

  test("this systemd supports the agent's unit file, and its limits are effective", async () => {
    const verified = await host.exec(['systemd-analyze', 'verify', 'fairlead.service'], { check: false });
    expect(verified.stderr.split('\n').filter((line) => line.includes('fairlead'))).toEqual([]);
    expect(await out("journalctl -b --no-pager | grep -E 'fairlead.service:[0-9]+:' || true")).toBe('');
    const status = await out(
      'grep -E "^(NoNewPrivs|Seccomp):" /proc/$(systemctl show --value -p MainPID fairlead.service)/status',
    );
    expect(status).toBe('NoNewPrivs:\t1\nSeccomp:\t2');
    const group = await out('cd /sys/fs/cgroup/system.slice/fairlead.service; cat memory.high memory.max pids.max');
    expect(group.split('\n')).toEqual([String(256 * MIB), String(512 * MIB), '256']);
    const security = await host.exec(['systemd-analyze', 'security', '--no-pager', 'fairlead.service'], {
      check: false,
    });
    const level = /Overall exposure level for fairlead\.service: ([\d.]+)/.exec(security.stdout)?.[1];
    expect(Number(level)).toBeGreaterThan(0);
    expect(Number(level)).toBeLessThanOrEqual(5);
  });

  test('doctor does not report anything that the unit file forbids', async () => {
    expect((await fairlead(host, 'doctor')).stdout).not.toMatch(/permission denied|not permitted/i);
  });

  test('the rights of its unit forbid setting the clock, mounts, kernel modules, renaming the host and changing control groups', async () => {
    const tries = {
      clock: 'date -s 2000-01-01',
      mount: 'mount -t tmpfs none /mnt',
      module: 'modprobe dummy',
      name: 'hostname other',
      namespace: 'unshare --user true',
      group: 'mkdir /sys/fs/cgroup/other',
      log: 'dmesg',
      file: 'echo x > /etc/app/made && rm /etc/app/made',
      setting: 'value=$(cat /proc/sys/kernel/panic) && echo $value > /proc/sys/kernel/panic',
    };
    const script = Object.entries(tries).map(
      ([name, command]) => `if (${command}) > /dev/null 2>&1; then echo ${name} may; else echo ${name} no; fi`,
    );
    const { stdout } = await asAgent(host, ['sh', '-c', script.join('\n')]);
    const may = stdout.split('\n').flatMap((line) => (line.endsWith(' may') ? [line.slice(0, -4)] : []));
    expect(stdout.trim().split('\n')).toHaveLength(Object.keys(tries).length);
    expect(may).toEqual(['file', 'setting']);
  });

  test('with the rights of its unit a pack can be read, even if systemd-run cannot help', async () => {
    const ways = confined({
      ...{ script: '/usr/lib/fairlead/lib/reader.cjs', node: '/usr/lib/lab-node' },
      ...{ uid: 0, slot: 1, hasSystemd: false, mayBound: false },
    });
    const way = ways.find(({ name }) => name === 'setpriv without namespaces');
    if (way === undefined) throw new Error('there is no such way');
    const { stdout } = await asAgent(host, way.argv, way.env);
    // It reports that it is ready, and ends with its input.
    expect(stdout.slice(0, 1)).toBe('h');
  });

  test('a container that runs out of memory is reported as such', async () => {
    await repo.commit({ [`${H}/hog/compose.yaml`]: HOG }, 'Eat memory');
    const done = await apiOf(host).sync();
    const problem = done?.status.problems.find(({ id }) => id === 'service:hog/hog');
    // If the Docker engine did not notice it before the control group was gone, the message is less certain.
    expect(problem?.message).toMatch(/out of memory at its limit of 48 MiB; raise mem_limit/);
  });
});
