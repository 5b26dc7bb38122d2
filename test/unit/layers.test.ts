import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';

const ROOT = path.join(import.meta.dirname, '../..');

/** The composition root, in eight files. */
const MAIN = [
  'agent/main.ts',
  'agent/command-line.ts',
  'agent/daemon.ts',
  'agent/session.ts',
  'agent/doctor.ts',
  'agent/host-probes.ts',
  'agent/layout.ts',
  'agent/connectivity-probes.ts',
];
/** A room may import from rooms further down only (docs/architecture.md). */
const LAYERS: readonly (readonly string[])[] = [
  [...MAIN, 'agent/cli'],
  ['agent/control', 'agent/report', 'agent/fleet', 'agent/repo'],
  ['agent/engine'],
  ['agent/kinds'],
  ['agent/compose', 'agent/git', 'agent/secrets', 'agent/system', 'agent/store'],
  ['agent/core'],
  ['manifests-schema'],
];
const LEAVES = ['agent/config.ts', 'agent/errors.ts', 'agent/log.ts'];
/** main wires; cli speaks to the daemon by these alone. */
const CLI_MAY = ['agent/control/protocol.ts', 'agent/control/client.ts'];
const PURE = ['agent/core', 'agent/compose', 'manifests-schema'];

const files = ['agent', 'manifests-schema'].flatMap((dir) =>
  readdirSync(path.join(ROOT, dir), { recursive: true, encoding: 'utf8' })
    .filter((f) => f.endsWith('.ts'))
    .map((f) => path.join(dir, f)),
);

const roomNameOf = (file: string) =>
  file
    .split('/')
    .slice(0, file.startsWith('agent/') ? 2 : 1)
    .join('/');
const roomOf = (file: string) =>
  LAYERS.findIndex((rooms) => rooms.some((room) => file === room || file.startsWith(`${room}/`)));

function importsOf(file: string): string[] {
  const text = readFileSync(path.join(ROOT, file), 'utf8');
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((m) => m[1] ?? '');
}

/** Every import that goes sideways or up, as `file → imported`. */
function violations(): string[] {
  return files.flatMap((file) =>
    importsOf(file)
      .filter((i) => i.startsWith('.'))
      .map((i) => path.join(path.dirname(file), i))
      .filter((target) => !LEAVES.includes(target) && roomNameOf(target) !== roomNameOf(file))
      .filter((target) => {
        if (LEAVES.includes(file)) return !target.startsWith('manifests-schema/');
        if (file.startsWith('agent/cli/') && target.startsWith('agent/control/')) return !CLI_MAY.includes(target);
        const from = roomOf(file);
        const to = roomOf(target);
        return from === -1 || to === -1 || to < from || (to === from && !MAIN.includes(file));
      })
      .map((target) => `${file} → ${target}`),
  );
}

test('imports point down only', () => {
  expect(files.length).toBeGreaterThan(20);
  expect(violations()).toEqual([]);
});

test('core, compose and the schemas do no I/O', () => {
  const io = files
    .filter((f) => PURE.some((p) => f.startsWith(`${p}/`)) && f !== 'manifests-schema/generate.ts')
    .flatMap((file) => {
      const text = readFileSync(path.join(ROOT, file), 'utf8');
      const impure = importsOf(file).filter((i) => /^node:(?!path)/.test(i));
      const clock = /\bDate\.now\(|new Date\(\)|Math\.random\(|\bprocess\./.test(text)
        ? ['clock, randomness or process']
        : [];
      return [...impure, ...clock].map((what) => `${file}: ${what}`);
    });
  expect(io).toEqual([]);
});

test('the engine never names a concrete library of a kind', () => {
  const named = files
    .filter((f) => f.startsWith('agent/engine/'))
    .filter((f) => importsOf(f).some((i) => /dockerode|dbus-native/.test(i)));
  expect(named).toEqual([]);
});
