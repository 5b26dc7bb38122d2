/** File modes: git's executable bit, unless a declaration sets a mode. */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { createPayload } from '../../agent/core/payload/payload.ts';
import type { Checkout } from '../../agent/core/types.ts';
import type { FileSpec } from '../../agent/kinds/file/spec.ts';
import { localCheckout } from '../../agent/repo/local.ts';
import { createSnapshots } from '../../agent/store/snapshots.ts';
import { checkoutOf, loadCheckout, type Repo, sha256 } from './repo.ts';

const checkout = (repo: Repo, executable: readonly string[]): Checkout => {
  const given = checkoutOf(repo);
  const files = createPayload(given.files, {
    read: () => null,
    sha256,
    executable: new Set(executable.map((name) => `hosts/a/${name}`)),
  });
  return { ...given, files };
};

async function modes(given: Checkout): Promise<Record<string, string>> {
  const { resources, issues } = await loadCheckout(given);
  expect(issues).toEqual([]);
  const files = resources.filter((r) => r.id.startsWith('file:') && (r.spec as FileSpec).type === 'file');
  return Object.fromEntries(files.map((r) => [r.id.slice(5), (r.spec as FileSpec).mode.toString(8)]));
}

const manifest = `
files:
  /opt/plain: {source: files/plain}
  /opt/run: {source: files/run}
  /opt/told: {source: files/run, mode: "0640"}
  /opt/rendered: {source: files/run, template: true}
  /opt/tree: {source: files}
  /opt/tree-told: {source: files, mode: "0600"}
`;
const repo = { 'hosts/a/m.yaml': manifest, 'hosts/a/files/plain': 'x', 'hosts/a/files/run': 'x' };

test('`files` have the bit of git, unless they set a mode', async () => {
  expect(await modes(checkout(repo, ['files/run']))).toEqual({
    '/opt/plain': '644',
    '/opt/run': '755',
    '/opt/told': '640',
    '/opt/rendered': '755',
    '/opt/tree/plain': '644',
    '/opt/tree/run': '755',
    '/opt/tree-told/plain': '600',
    '/opt/tree-told/run': '600',
  });
});

test('content that a stack mounts by relative path has the bit of git', async () => {
  const stack = {
    'hosts/a/shop/compose.yaml': `
services:
  web:
    image: x
    volumes: ["./start.sh:/start.sh:ro", "./conf:/conf"]
    configs: [hook]
configs: {hook: {file: ./hook.sh}}
`,
    'hosts/a/shop/start.sh': 'x',
    'hosts/a/shop/hook.sh': 'x',
    'hosts/a/shop/conf/run': 'x',
    'hosts/a/shop/conf/plain': 'x',
  };
  expect(await modes(checkout(stack, ['shop/start.sh', 'shop/hook.sh', 'shop/conf/run']))).toEqual({
    '/var/lib/fairlead/tree/hosts/a/shop/start.sh': '755',
    '/var/lib/fairlead/tree/hosts/a/shop/hook.sh': '755',
    '/var/lib/fairlead/tree/hosts/a/shop/conf/run': '755',
    '/var/lib/fairlead/tree/hosts/a/shop/conf/plain': '644',
  });
});

test('a commit that changes only the bit changes the rendered host', async () => {
  const [before, after] = [await loadCheckout(checkout(repo, [])), await loadCheckout(checkout(repo, ['files/run']))];
  expect(after.content()).not.toBe(before.content());
});

test('a snapshot keeps the bit', async () => {
  const snapshots = createSnapshots(mkdtempSync(path.join(tmpdir(), 'modes-')));
  const given = checkout(repo, ['files/run']);
  await snapshots.save(given);
  await snapshots.save({ ...given, info: { ...given.info, commit: '2'.repeat(40) } });
  const back = await snapshots.load(given.info.commit);
  expect(back?.files.executable?.('hosts/a/files/run')).toBe(true);
  expect(back?.files.executable?.('hosts/a/files/plain')).toBe(false);
});

test('a plan of a directory without this host lists the hosts there, or reports that it is no fleet', async () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'modes-'));
  await expect(localCheckout(dir, 'hosts/a')).rejects.toThrow(`${dir} is no fleet repository`);
  mkdirSync(path.join(dir, 'hosts/edge-1'), { recursive: true });
  writeFileSync(path.join(dir, 'hosts/edge-1/a.yaml'), '');
  await expect(localCheckout(dir, 'hosts/b')).rejects.toThrow(/no host `hosts\/b` .*there are edge-1/);
  await expect(localCheckout(dir, 'hosts/edge1')).rejects.toThrow(/did you mean `hosts\/edge-1`/);
});

test('a plan of a working directory has the bit of its files', async () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'modes-'));
  mkdirSync(path.join(dir, 'hosts/a'), { recursive: true });
  writeFileSync(path.join(dir, 'hosts/a/run'), '', { mode: 0o755 });
  const { files } = (await localCheckout(dir, 'hosts/a')).checkout;
  expect(files.executable?.('hosts/a/run')).toBe(true);
});
