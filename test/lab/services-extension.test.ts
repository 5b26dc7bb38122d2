/** `x-fairlead` at services, networks, volumes, configs and the top of a stack, on a real Docker engine. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { done, type EngineOn, engineOn, whyOf } from './engine-on.ts';
import { type Lab, type LabHost, startLab } from './lab.ts';

let lab: Lab;
let host: LabHost;
let engine: EngineOn;
const anchor = { 'a.yaml': 'files: {/srv/anchor: {content: x}}\n' };

/** Well after a second. */
const SOON = 'deploy: {update_config: {monitor: 1s}}';

beforeAll(async () => {
  lab = await startLab({ name: 'told', infra: 'shared', hosts: [{ name: 'ours' }] });
  host = lab.host('ours');
  engine = await engineOn(host);
  await engine.apply(anchor);
});
afterAll(async () => {
  engine?.close();
  await lab?.stop();
});
afterEach(async () => {
  await engine.apply(anchor);
  await host.sh(
    'docker ps -aq | xargs -r docker rm -fv; docker network prune -f; docker volume ls -q | xargs -r docker volume rm',
  );
});

const stack = (text: string, files: Record<string, string> = {}) => ({
  ...anchor,
  'shop/compose.yaml': text,
  ...Object.fromEntries(Object.entries(files).map(([name, body]) => [`shop/${name}`, body])),
});
/** Everything that the Docker engine has, with ids and starts. */
const asItIs = async () =>
  (
    await host.sh(
      "docker ps -aq | xargs -r docker inspect -f '{{.Name}} {{.Id}} {{.State.StartedAt}} {{.RestartCount}}' | sort; docker network ls --no-trunc --format '{{.Name}} {{.ID}}' | sort; docker volume ls -q | xargs -r docker volume inspect -f '{{.Name}} {{.CreatedAt}} {{.Options}}' | sort",
    )
  ).stdout;
const startOf = async (name: string) =>
  (await host.exec(['docker', 'inspect', '-f', '{{.Id}} {{.State.StartedAt}}', name])).stdout.trim();
const volumes = async () => (await host.sh('docker volume ls -q')).stdout.split('\n').filter(Boolean).sort();
const states = ({ outcome }: Awaited<ReturnType<EngineOn['apply']>>) =>
  Object.fromEntries(outcome.resources.map((r) => [r.id, `${r.sync} ${r.health} ${r.reason}`.trim()]));

test('mode: observe: differences are held and named, missing resources are not created, and nothing is changed', async () => {
  await host.sh(
    `mkdir -p /opt/shop/conf; cd /opt/shop; echo theirs > conf/a
cat > compose.yaml <<'END'
services:
  web: {image: "infra:5000/app:1", hostname: theirs, volumes: ["./conf:/conf", "data:/data"]}
  same: {image: "infra:5000/app:1"}
networks: {default: {labels: {owner: them}}}
volumes: {data: {driver_opts: {type: tmpfs, device: tmpfs, o: size=1m}}}
END
docker compose -p shop up -d --quiet-pull 2>&1`,
  );
  const before = await asItIs();
  const LOOK = 'x-fairlead: {mode: observe}';
  const text = `x-fairlead: {project_directory: /opt/shop}
services:
  web: {image: "infra:5000/app:2", hostname: ours, volumes: ["./conf:/conf", "data:/data"], ${LOOK}}
  same: {image: "infra:5000/app:1", ${LOOK}}
  away: {image: "infra:5000/app:1", volumes: ["missing:/m"], networks: [none], pull_policy: always, ${LOOK}}
  ours: {image: "infra:5000/app:1", ${SOON}, network_mode: none, depends_on: [away]}
networks: {default: {labels: {owner: us}, ${LOOK}}, none: {${LOOK}}}
volumes: {data: {${LOOK}}, missing: {${LOOK}}}
`;
  const first = await engine.apply(stack(text, { 'conf/a': 'ours\n' }));
  expect(done(first).sort()).toEqual([
    'create network:shop/none held',
    'create service:shop/away held',
    'create service:shop/ours done',
    'create volume:shop/missing held',
    'replace network:shop/default held',
    'replace service:shop/web held',
    'replace volume:shop/data held',
    'update file:/opt/shop/conf/a held',
  ]);
  expect(whyOf(first, 'service:shop/web').map((r) => r.field)).toEqual(['image', 'hostname']);
  expect([first.run.sync, first.outcome.reason]).toEqual(['held', 'Observing']);
  expect(states(first)).toMatchObject({
    'service:shop/web': expect.stringMatching(/^held .* Observing$/),
    'service:shop/same': expect.stringMatching(/^synced/),
    'service:shop/away': expect.stringMatching(/^held .* Observing$/),
    'service:shop/ours': 'synced healthy',
  });
  const untouched = async () => {
    await host.sh('docker rm -fv shop-ours-1 >/dev/null');
    expect(await asItIs()).toBe(before);
    expect((await host.exec(['cat', '/opt/shop/conf/a'])).stdout).toBe('theirs\n');
  };
  await untouched();
  // Neither a person's consent, nor drift of the observed resource, nor the removal of its entry changes that.
  await engine.again({ adopt: true });
  await untouched();
  await host.sh('docker stop shop-same-1 >/dev/null');
  expect(done(await engine.again())).toContain('update service:shop/same held');
  expect((await host.exec(['docker', 'inspect', '-f', '{{.State.Running}}', 'shop-same-1'])).stdout.trim()).toBe(
    'false',
  );
  const owned = engine.store.inventory.list().map((r) => r.id);
  expect(owned.filter((id) => id.includes('shop/') && !id.endsWith('/ours'))).toEqual([]);
  await host.sh('docker start shop-same-1 >/dev/null');
  const standing = (await asItIs()).replaceAll(/^\/shop-(same|ours)-1 .*\n/gm, '');
  await engine.apply(anchor);
  expect((await asItIs()).replaceAll(/^\/shop-(same|ours)-1 .*\n/gm, '')).toBe(standing);
});

test('adopt: recreate at a service, a network and a volume recreates a differing one; without it, it is held', async () => {
  await host.sh(
    `mkdir -p /opt/late; cd /opt/late
cat > compose.yaml <<'END'
services: {web: {image: "infra:5000/app:1", hostname: theirs}}
networks: {default: {labels: {owner: them}}}
END
docker compose -p late up -d --quiet-pull 2>&1; docker volume create --opt type=tmpfs --opt device=tmpfs --opt o=size=1m late_data >/dev/null`,
  );
  const text = (at = '', volume = '') => ({
    ...anchor,
    'late/compose.yaml': `services: {web: {image: "infra:5000/app:1", hostname: ours, ${SOON} ${at}}, user: {image: "infra:5000/app:1", volumes: ["data:/d"], scale: 0}}
networks: {default: {labels: {owner: us} ${at}}}
volumes: {data: {driver_opts: {type: tmpfs, device: tmpfs, o: size=2m} ${volume}}}
`,
  });
  const before = await asItIs();
  const held = await engine.apply(text());
  expect(done(held).sort()).toEqual([
    'replace network:late/default held',
    'replace service:late/web held',
    'replace volume:late/data held',
  ]);
  expect(held.run.reason).toBe('NotAdopted');
  expect(await asItIs()).toBe(before);
  const taken = await engine.apply(
    text(', x-fairlead: {adopt: recreate}', ', x-fairlead: {adopt: recreate, prune: true}'),
  );
  expect([taken.outcome.problems, done(taken).sort()]).toEqual([
    [],
    ['replace network:late/default done', 'replace service:late/web done', 'replace volume:late/data done'],
  ]);
  expect((await host.exec(['docker', 'volume', 'inspect', '-f', '{{.Options.o}}', 'late_data'])).stdout.trim()).toBe(
    'size=2m',
  );
  expect((await engine.again()).outcome.actions).toEqual([]);
});

test('prune: true at a volume: it is removed with its entry, others stay; not while something uses it', async () => {
  const text = (mode: string, keeps = '') =>
    stack(
      `services: {web: {image: "infra:5000/app:1", ${SOON}, volumes: [${mode ? '"gone:/g", ' : ''}"kept:/k"]}}\nvolumes: {${mode ? `gone: {x-fairlead: {prune: ${mode}}}, ` : ''}kept: {}${keeps}}\n`,
    );
  await engine.apply(text('true'));
  expect(await volumes()).toEqual(['shop_gone', 'shop_kept']);
  // The last declaration counts.
  await engine.apply(text('false'));
  await engine.apply(text(''));
  expect(await volumes()).toEqual(['shop_gone', 'shop_kept']);
  await engine.apply(text('true'));
  await host.sh('docker run -d --name guest -v shop_gone:/x infra:5000/app:1 >/dev/null');
  const used = await engine.apply(text(''));
  expect(used.outcome.problems.map((p) => `${p.id} ${p.reason}: ${p.message}`)).toEqual([
    'volume:shop/gone VolumeInUse: volume shop_gone is still used by guest; remove what uses it',
  ]);
  expect(await volumes()).toEqual(['shop_gone', 'shop_kept']);
  await host.sh('docker rm -f guest >/dev/null');
  expect(done(await engine.again())).toEqual(['remove volume:shop/gone done']);
  expect(await volumes()).toEqual(['shop_kept']);
  // Decommissioning a host keeps its volumes, whatever was declared for them.
  await engine.apply(text('true'));
  await engine.apply({ ...text('true'), 'host.yaml': 'decommission: true\n' });
  expect([await volumes(), (await host.sh('docker ps -aq')).stdout]).toEqual([['shop_gone', 'shop_kept'], '']);
});

test('on_change: none at a service or a config: a change of a mounted file restarts nothing', async () => {
  const text = (conf: string, at = '', config = '') =>
    stack(
      // The directory of an adopted stack outlives it: this one has a name of its own.
      `name: files
services:
  web: {image: "infra:5000/app:1", ${SOON}, volumes: ["./a.conf:/a.conf"], configs: [b] ${at}}
  other: {image: "infra:5000/app:1", ${SOON}, configs: [b]}
configs: {b: {file: ./b.conf ${config}}}
`,
      { 'a.conf': `${conf}\n`, 'b.conf': `${conf}\n` },
    );
  const QUIET = ', x-fairlead: {on_change: none}';
  const both = () => Promise.all(['files-web-1', 'files-other-1'].map(startOf));
  await engine.apply(text('one', QUIET));
  const before = await both();
  // The service ignores changes of its files; the other one does not.
  const first = await engine.apply(text('two', QUIET));
  expect(done(first).filter((line) => line.includes('service:'))).toEqual(['refresh service:files/other done']);
  const then = await both();
  expect([then[0], then[1] === before[1]]).toEqual([before[0], false]);
  expect((await host.sh('cat /var/lib/fairlead/tree/hosts/h/shop/?.conf')).stdout).toBe('two\ntwo\n');
  // The config is ignored by all; a file beside it restarts its service nevertheless.
  const second = await engine.apply(text('three', '', QUIET));
  expect(done(second).filter((line) => line.includes('service:'))).toEqual(['refresh service:files/web done']);
  expect((await both())[1]).toBe(then[1]);
});
