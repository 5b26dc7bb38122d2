/** Images with real Docker engines and registries: credentials of pulls, when images are pulled, and when they are removed. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { done, type EngineOn, type EngineOnOptions, engineOn, whyOf } from './engine-on.ts';
import { type Lab, type LabHost, startLab, until } from './lab.ts';
import {
  BASIC,
  digestOf,
  pushImage,
  pushIndex,
  retag,
  startRegistries,
  TOKEN,
  trustRegistries,
  USERS,
} from './registries.ts';

let lab: Lab;
let host: LabHost;
let old: LabHost;

beforeAll(async () => {
  lab = await startLab({ name: 'images', hosts: [{ name: 'edge-1' }, { name: 'edge-2', flavour: 'debian12' }] });
  [host, old] = [lab.host('edge-1'), lab.host('edge-2')];
  await startRegistries(lab.infra);
  for (const h of [host, old]) await trustRegistries(lab.infra, h);
});
afterAll(async () => lab?.stop());

const HEALTH = 'healthcheck: {test: [CMD, /bin/busybox, "true"], interval: 1s}';
const stack = (services: Record<string, string>) => ({
  'shop/compose.yaml': `services:\n${Object.entries(services)
    .map(([name, body]) => `  ${name}: {${body}, ${HEALTH}}\n`)
    .join('')}`,
});
const problemsOf = (result: Awaited<ReturnType<EngineOn['apply']>>) =>
  result.outcome.problems.map((p) => `${p.id} ${p.reason}: ${p.message}`);
const inspect = async (on: LabHost, container: string, format: string) =>
  (await on.exec(['docker', 'inspect', '-f', format, container])).stdout.trim();

/** With an engine whose memory is empty, and a host without containers, images and logins. */
async function fresh(
  on: LabHost,
  registries: EngineOnOptions['registries'],
  act: (engine: EngineOn) => Promise<void>,
): Promise<void> {
  await on.sh(
    'docker ps -aq | xargs -r docker rm -fv; docker image ls -q | xargs -r docker rmi -f; rm -rf /root/.docker',
  );
  const engine = await engineOn(on, registries ? { registries } : {});
  try {
    await act(engine);
  } finally {
    engine.close();
  }
}

describe.each([
  ['basic', BASIC],
  ['token', TOKEN],
] as const)('a registry with %s authentication and a private CA', (_, registry) => {
  const [user, password] = USERS[registry];
  const web = (hint: string) => stack({ web: `image: "${registry}/app:1", labels: {hint: ${hint}}` });

  test('serves pulls with the login of agent.yaml, and with the password that its file has now', () =>
    fresh(host, { [registry]: { username: user, passwordFile: '/etc/fairlead/registry.password' } }, async (engine) => {
      await host.write('/etc/fairlead/registry.password', 'wrong-one\n', '0600');
      const refused = await engine.apply(web('a'));
      expect(problemsOf(refused)).toEqual([
        expect.stringMatching(
          new RegExp(
            `^service:shop/web ImagePullFailed: cannot pull ${registry}/app:1: .*(unauthorized|basic auth).*; the registry was asked as user ${user} with the password in /etc/fairlead/registry.password \\(docker.registries of agent.yaml\\)`,
          ),
        ),
      ]);
      expect(JSON.stringify(refused)).not.toContain('wrong-one');
      await host.write('/etc/fairlead/registry.password', `${password}\n`, '0600');
      expect(done(await engine.again())).toContain('create service:shop/web done');
    }));

  test('serves pulls with the login of `docker login`', () =>
    fresh(host, {}, async (engine) => {
      const without = await engine.apply(web('b'));
      expect(problemsOf(without)).toEqual([
        expect.stringContaining(
          `; no credential for ${registry} in docker.registries of agent.yaml, nor in /root/.docker/config.json`,
        ),
      ]);
      await host.exec(['docker', 'login', '-u', user, '--password-stdin', registry], { input: password });
      expect(done(await engine.again())).toContain('create service:shop/web done');
    }));

  test.each(['credsStore', 'credHelpers'])('serves pulls with a credential helper (%s)', (key) =>
    fresh(old, {}, async (engine) => {
      const config = key === 'credsStore' ? { credsStore: 'lab' } : { credHelpers: { [registry]: 'lab' } };
      await old.write('/root/.docker/config.json', JSON.stringify(config), '0600');
      const withHelper = async (body: string) =>
        old.write('/usr/local/bin/docker-credential-lab', `#!/bin/sh\nread server\n${body}\n`, '0755');
      await withHelper('echo "the vault is sealed"; exit 1');
      expect(problemsOf(await engine.apply(web('c')))).toEqual([
        expect.stringContaining(
          `docker-credential-lab (named in /root/.docker/config.json) could not say who pulls from ${registry}: exit code 1: the vault is sealed`,
        ),
      ]);
      const answer = JSON.stringify({ ServerURL: registry, Username: user, Secret: password });
      await withHelper(`[ "$1 $server" = "get ${registry}" ] && echo '${answer}'`);
      expect(done(await engine.again())).toContain('create service:shop/web done');
    }),
  );
});

test('a registry whose CA the Docker engine does not trust: the error names the directory for it', () =>
  fresh(host, {}, async (engine) => {
    await host.exec(['mv', `/etc/docker/certs.d/${BASIC}`, '/tmp/certs']);
    const result = await engine.apply(stack({ web: `image: "${BASIC}/app:1"` }));
    await host.exec(['mv', '/tmp/certs', `/etc/docker/certs.d/${BASIC}`]);
    expect(problemsOf(result)).toEqual([
      expect.stringContaining(`lies in /etc/docker/certs.d/${BASIC}/ca.crt; what runs is left alone`),
    ]);
  }));

/** An hour and a bit ago. */
const longAgo = () => new Date(Date.now() - 3_700_000);
const web = 'service:shop/web';
const running = (on: LabHost) => inspect(on, 'shop-web-1', '{{.Id}} {{.Image}} {{.State.Running}}');
const idOf = (on: LabHost, image: string) => inspect(on, image, '{{.Id}}');

describe('pull_policy', () => {
  const image = 'infra:5000/moving:1';
  const declared = (policy: string) => stack({ web: `image: "${image}", pull_policy: ${policy}` });
  beforeAll(async () => {
    await pushImage(lab.infra, 'moving:a');
    await pushImage(lab.infra, 'moving:b');
  });

  test('always: a moved tag recreates the container, a new index around the same image does not', () =>
    fresh(host, {}, async (engine) => {
      await retag(lab.infra, 'moving:a', 'moving:1');
      expect(done(await engine.apply(declared('always')))).toContain(`create ${web} done`);
      const before = await running(host);
      await pushIndex(lab.infra, 'moving:1', { 'linux/amd64': 'moving:a' });
      expect(done(await engine.again())).toEqual([]);
      expect(await running(host)).toBe(before);
      const digest = await digestOf(lab.infra, 'moving:1');
      expect(await inspect(host, image, '{{.RepoDigests}}')).toContain(digest);

      const a = await idOf(host, image);
      await retag(lab.infra, 'moving:b', 'moving:1');
      // A schedule asks again only after a while.
      expect(done(await engine.again({ trigger: 'schedule' }))).toEqual([]);
      const moved = await engine.again();
      expect(done(moved)).toEqual([`replace ${web} done`]);
      const b = await idOf(host, image);
      const written = (id: string) => `${image} (${id.replace('sha256:', '').slice(0, 12)})`;
      expect(whyOf(moved, web)).toEqual([{ field: 'image', from: written(a), to: written(b) }]);
      expect(await inspect(host, 'shop-web-1', '{{.Image}}')).toBe(b);

      await retag(lab.infra, 'moving:a', 'moving:1');
      engine.store.images.setAsked(image, '', longAgo());
      expect(done(await engine.again({ trigger: 'schedule' }))).toEqual([`replace ${web} done`]);
    }));

  test('always, while the registry is unreachable: the running container is left alone, it is reported, and recovers by itself', () =>
    fresh(old, {}, async (engine) => {
      await engine.apply(declared('always'));
      const before = await running(old);
      await lab.infra.exec(['systemctl', 'stop', 'docker-registry']);
      const away = await engine.again();
      const left = await running(old);
      await old.exec(['docker', 'rm', '-f', 'shop-web-1']);
      // A repair does not need the registry: the image is here.
      const repaired = await engine.again();
      const after = await running(old);
      await lab.infra.exec(['systemctl', 'start', 'docker-registry']);
      expect(problemsOf(away)).toEqual([
        expect.stringMatching(
          /^service:shop\/web ImagePullFailed: cannot pull .*; check that this host reaches infra:5000/,
        ),
      ]);
      expect(away.run.sync).toBe('failed');
      // Health is that of the running container, and that is well.
      expect(away.outcome.resources.find((r) => r.id === web)).toEqual({
        ...{ id: web, sync: 'failed', health: 'healthy', reason: 'ImagePullFailed' },
      });
      expect(left).toBe(before);
      expect(done(repaired)).toEqual([`create ${web} done`]);
      await until('the registry', 120_000, async () => (await engine.again()).run.sync === 'synced');
      expect(await running(old)).toBe(after);
    }));

  test('always waits for the maintenance window, and sends no request in observe mode', () =>
    fresh(host, {}, async (engine) => {
      await retag(lab.infra, 'moving:a', 'moving:1');
      const held = { ...declared('always'), 'host.yaml': 'window: {schedule: "0 0 1 1 *", duration: 1m}\n' };
      await engine.apply(held, undefined, { force: true });
      await retag(lab.infra, 'moving:b', 'moving:1');
      expect(done(await engine.again())).toEqual([]);
      expect(done(await engine.again({ force: true }))).toEqual([`replace ${web} done`]);
      const here = await idOf(host, image);
      await retag(lab.infra, 'moving:a', 'moving:1');
      await engine.apply({ ...declared('always'), 'host.yaml': 'mode: observe\n' });
      expect(await idOf(host, image)).toBe(here);
    }));

  test.each(['daily', 'every_1h30m'])('%s: asks when its time has come, at the next run of any kind', (policy) =>
    fresh(host, {}, async (engine) => {
      await retag(lab.infra, 'moving:a', 'moving:1');
      await engine.apply(declared(policy));
      await retag(lab.infra, 'moving:b', 'moving:1');
      expect(done(await engine.again())).toEqual([]);
      engine.store.images.setAsked(image, '', new Date(Date.now() - 86_500_000));
      expect(done(await engine.again({ trigger: 'schedule' }))).toEqual([`replace ${web} done`]);
    }),
  );

  test('missing: pulled once; a manual pull counts, as for docker compose', () =>
    fresh(host, {}, async (engine) => {
      await retag(lab.infra, 'moving:a', 'moving:1');
      await engine.apply(declared('missing'));
      await retag(lab.infra, 'moving:b', 'moving:1');
      expect(done(await engine.again())).toEqual([]);
      await host.exec(['docker', 'pull', '-q', image]);
      expect(done(await engine.again())).toEqual([`replace ${web} done`]);
    }));

  test('never: a missing image is reported, and an existing one is used', () =>
    fresh(host, {}, async (engine) => {
      expect(problemsOf(await engine.apply(declared('never')))).toEqual([
        expect.stringContaining(`ImageMissing: image ${image} is not on this host, and pull_policy is never`),
      ]);
      await host.exec(['docker', 'pull', '-q', image]);
      expect(done(await engine.again())).toEqual([`create ${web} done`]);
    }));
});

describe('exact names', () => {
  beforeAll(async () => {
    await pushImage(lab.infra, 'both:amd64');
    await pushImage(lab.infra, 'both:arm64', 0, 'linux/arm64');
    await pushIndex(lab.infra, 'both:1', { 'linux/amd64': 'both:amd64', 'linux/arm64': 'both:arm64' });
  });

  test.each(['edge-1', 'edge-2'])('a digest, with and without a tag (%s)', (name) =>
    fresh(lab.host(name), {}, async (engine) => {
      const digest = await digestOf(lab.infra, 'both:1');
      const files = stack({
        web: `image: "infra:5000/both@${digest}", pull_policy: always`,
        tagged: `image: "infra:5000/both:1@${digest}"`,
      });
      expect(done(await engine.apply(files))).toEqual(
        expect.arrayContaining([`create ${web} done`, 'create service:shop/tagged done']),
      );
      expect(done(await engine.again())).toEqual([]);
    }),
  );

  test('a platform: an image here for another platform is not the wanted one', () =>
    fresh(host, {}, async (engine) => {
      const architecture = async () =>
        inspect(host, await inspect(host, 'shop-web-1', '{{.Image}}'), '{{.Os}}/{{.Architecture}}');
      const on = (platform: string) =>
        stack({ web: `image: "infra:5000/both:1"${platform && `, platform: ${platform}`}` });
      await engine.apply(on(''));
      expect(await architecture()).toBe('linux/amd64');
      const arm = await engine.apply(on('linux/arm64'));
      expect(whyOf(arm, web)).toEqual([{ field: 'platform', from: 'linux/amd64', to: 'linux/arm64' }]);
      expect(await architecture()).toBe('linux/arm64');
      expect(done(await engine.again())).toEqual([]);
      const before = await running(host);
      expect(problemsOf(await engine.apply(on('linux/s390x')))).toEqual([
        expect.stringMatching(/ImagePullFailed: .*no matching manifest.*the registry has it for other platforms only/),
      ]);
      expect(await running(host)).toBe(before);
    }));
});

describe('old images', () => {
  const images = async () =>
    (await host.sh("docker image ls --format '{{.Repository}}:{{.Tag}}' | sed s,infra:5000/,,")).stdout
      .trim()
      .split('\n')
      .sort();
  const app = (version: string, image = `infra:5000/old:${version}`) => stack({ web: `image: "${image}"` });
  beforeAll(async () => {
    for (const version of ['1', '2', '3', '4', '5', '6']) await pushImage(lab.infra, `old:${version}`);
  });

  test('are removed when nothing runs on them and no rollback needs them; images that others pulled, tagged or use stay', () =>
    fresh(host, {}, async (engine) => {
      await host.exec(['docker', 'pull', '-q', 'infra:5000/app:1']);
      await engine.apply(app('1'));
      await engine.apply(app('2'));
      // The previous one is the target of `fairlead rollback`.
      expect(await images()).toEqual(['app:1', 'old:1', 'old:2']);
      await engine.apply(app('3'));
      expect(await images()).toEqual(['app:1', 'old:2', 'old:3']);
      await engine.apply(app('', 'infra:5000/app:1'));
      await host.exec(['docker', 'tag', 'infra:5000/old:3', 'mine:3']);
      await engine.apply(app('4'));
      await engine.apply(app('5'));
      expect(await images()).toEqual(['app:1', 'mine:3', 'old:3', 'old:4', 'old:5']);
      await host.sh('docker run -d --name foreign infra:5000/old:4');
      await engine.apply(app('6'));
      await engine.apply(app('1'));
      expect(await images()).toEqual(['app:1', 'mine:3', 'old:1', 'old:3', 'old:4', 'old:6']);
      await host.sh('docker rm -f foreign; docker rmi mine:3');
      await engine.apply(app('2'));
      expect(await images()).toEqual(['app:1', 'old:1', 'old:2']);
    }));

  test('the previous image of a tag is removed when its successor has settled', () =>
    fresh(host, {}, async (engine) => {
      await retag(lab.infra, 'old:1', 'old:latest');
      await engine.apply(stack({ web: 'image: infra:5000/old, pull_policy: always' }));
      const first = await inspect(host, 'shop-web-1', '{{.Image}}');
      await retag(lab.infra, 'old:2', 'old:latest');
      expect(done(await engine.again())).toEqual([`replace ${web} done`]);
      expect((await host.exec(['docker', 'image', 'ls', '-q', '--no-trunc'])).stdout).not.toContain(first);
    }));
});
