/** Stacks as they are stored in a fleet repository. */
import { expect, test } from 'vitest';
import type { ServiceSpec } from '../../../agent/compose/stack/model.ts';
import { find, loadRepo, messages } from '../repo.ts';

const ids = (resources: readonly { id: string }[]) =>
  resources
    .map((r) => r.id)
    .filter((id) => id.startsWith('service:'))
    .sort();

test('a stack that another stack includes is no stack of its own', async () => {
  const loaded = await loadRepo({
    'hosts/a/shop/compose.yaml': 'include: [db/compose.yaml]\nservices: {web: {image: x}}',
    'hosts/a/shop/db/compose.yaml': 'services: {db: {image: y}}',
    'hosts/a/other/compose.yaml': 'services: {one: {image: z}}',
  });
  expect(messages(loaded)).toEqual([]);
  expect(ids(loaded.resources)).toEqual(['service:other/one', 'service:shop/db', 'service:shop/web']);
  expect(Object.keys(loaded.compose ?? {}).sort()).toEqual(['other', 'shop']);
});

test("file names are preferred in Compose's order", async () => {
  const loaded = await loadRepo({
    'hosts/a/s/docker-compose.yaml': 'services: {a: {image: yaml}}',
    'hosts/a/s/docker-compose.yml': 'services: {a: {image: yml}}',
    'hosts/a/s/compose.override.yaml': 'services: {a: {user: yaml}}',
    'hosts/a/s/compose.override.yml': 'services: {a: {user: yml}}',
  });
  expect(find(loaded, 'service:s/a')?.spec).toMatchObject({ image: 'yml', engine: { config: { User: 'yml' } } });
});

test('a role and its host contribute to one stack; variables come from vars, then .env, then the built-ins', async () => {
  const loaded = await loadRepo({
    'hosts/a/host.yaml': 'roles: [base]\nvars: {TAG: from-vars}\n',
    'roles/base/shop/compose.yaml':
      'services: {web: {image: "x:$TAG", volumes: ["./conf:/c:ro"], labels: {host: $FAIRLEAD_HOST, e: $E}}}',
    'roles/base/shop/conf/a': 'a',
    'roles/base/shop/.env': 'TAG=from-env\nE=role\n',
    'hosts/a/shop/compose.yaml': 'services: {web: {user: u}}',
    'hosts/a/shop/.env': 'E=host\n',
  });
  expect(messages(loaded)).toEqual([]);
  expect(find(loaded, 'service:shop/web')?.spec as unknown as ServiceSpec).toMatchObject({
    ...{ image: 'x:from-vars', engine: { config: { User: 'u' } }, labels: { host: 'a', e: 'host' } },
    mounts: [{ source: '/var/lib/fairlead/tree/roles/base/shop/conf', target: '/c' }],
  });
});

test('sections of Compose in a manifest join the stack of its directory', async () => {
  const loaded = await loadRepo({
    'hosts/a/compose.yaml': 'name: own\nservices: {web: {image: x}}',
    'hosts/a/system.yaml': 'files: {/etc/motd: {content: hi}}\nservices: {more: {image: y}}',
  });
  expect(messages(loaded)).toEqual([]);
  expect(ids(loaded.resources)).toEqual(['service:own/more', 'service:own/web']);
});
