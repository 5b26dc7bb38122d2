/** The program as esbuild builds it: in chunks, with SQLite's addon beside it, the unit file and the man pages. */
import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
import path from 'node:path';
import { build, type Metafile, type Plugin } from 'esbuild';
import { buildDashboard } from './dashboard.ts';
import { manConfig, manProgram } from './man.ts';
import { upgradeScript } from './scripts/script.ts';

const root = path.join(import.meta.dirname, '..');
const stub = path.join(root, 'packaging/stub.cjs');

export interface ProgramOptions {
  /** Directory that is deleted and created again. */
  dist: string;
  version: string;
  /** Replacements for sources of this repository, relative to its root: for tests of upgrades. */
  replaced?: Readonly<Record<string, string>>;
}

/** @returns the input files, relative to the root of the repository, sorted */
export async function buildProgram({ dist, version, replaced = {} }: ProgramOptions): Promise<string[]> {
  rmSync(dist, { recursive: true, force: true });
  mkdirSync(dist, { recursive: true });
  const lib = path.join(dist, 'lib');

  // In chunks, so that code which a process never uses (SOPS, templates, packs, the command line) is never read.
  const program = await build({
    entryPoints: { main: path.join(root, 'agent/main.ts') },
    outdir: lib,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    platform: 'node',
    target: 'node22',
    format: 'esm',
    minify: true,
    legalComments: 'linked',
    banner: {
      // Globals that libraries in the CommonJS format expect.
      js: [
        "import { createRequire as __createRequire } from 'node:module';",
        "import { fileURLToPath as __toPath } from 'node:url';",
        'const require = __createRequire(import.meta.url), __filename = __toPath(import.meta.url), __dirname = __toPath(new URL(".", import.meta.url));',
      ].join(''),
    },
    // isomorphic-git would load all of fetch to deflate the objects of a pack.
    define: {
      FAIRLEAD_VERSION: JSON.stringify(version),
      CompressionStream: 'undefined',
      'Intl.DateTimeFormat': 'LocalDateFormat',
    },
    inject: [path.join(root, 'packaging/local-date-format.ts')],
    alias: {
      // dockerode reaches the Docker engine only over its unix socket: BuildKit sessions (grpc, protobuf) and ssh are never used.
      '@grpc/grpc-js': stub,
      '@grpc/proto-loader': stub,
      protobufjs: stub,
      ssh2: stub,
      'cpu-features': stub,
      // Most agents reach their broker without a websocket.
      ws: path.join(root, 'packaging/lazy-ws.cjs'),
      // Unused parts of mqtt: proxies (agent.yaml has none) and browser timers.
      socks: stub,
      'worker-timers': stub,
      // Its other format cannot be split into chunks, and hides its exports from a dynamic import.
      'isomorphic-git': path.join(root, 'node_modules/isomorphic-git/index.js'),
      // Copies of Node's own streams, one in each library that bundles it.
      'readable-stream': 'node:stream',
      // dbus-native: calls are made by name, never from a service's introspection data.
      xml2js: stub,
    },
    plugins: [
      replacing(replaced),
      {
        // An `import` of one of Node's own modules reads all its exports, some of which load more: fetch and WebSocket in
        // node:http, Web Crypto in node:crypto. A `require` does not.
        name: 'builtins-by-require',
        setup({ onResolve, onLoad }) {
          onResolve({ filter: /^[a-z]/ }, ({ path: name, kind }) => {
            if (!isBuiltin(name)) return undefined;
            if (ON_USE.includes(name.replace(/^node:/, '')) && kind !== 'dynamic-import')
              return { path: name, namespace: kind === 'require-call' ? 'require-on-use' : 'import-on-use' };
            // A chunk in place of `import('node:https')` would have only a default export, and no named ones.
            if (kind === 'require-call' || kind === 'dynamic-import') return { path: name, external: true };
            return { path: name, namespace: 'by-require' };
          });
          onLoad({ filter: /./, namespace: 'by-require' }, ({ path: name }) => ({ contents: byRequire(name) }));
          onLoad({ filter: /./, namespace: 'require-on-use' }, ({ path: name }) => ({
            contents: `module.exports = ${onUse(name)};`,
          }));
          onLoad({ filter: /./, namespace: 'import-on-use' }, ({ path: name }) => ({
            contents: `export default ${onUse(name)};`,
          }));
        },
      },
      {
        // zod's messages in fifty languages: this project writes its own.
        name: 'one-language',
        setup({ onLoad }) {
          onLoad({ filter: /zod\/v4\/locales\/index\.js$/ }, () => ({
            contents: "export { default as en } from './en.js';",
            loader: 'js',
            resolveDir: path.join(root, 'node_modules/zod/v4/locales'),
          }));
        },
      },
    ],
    logLevel: 'warning',
    metafile: true,
  });
  // All of it in one file, the only one that the unpacking process can read.
  const reader = await build({
    entryPoints: { reader: path.join(root, 'agent/git/reader/child.ts') },
    outdir: lib,
    // Node's ES module loader takes as long as all the rest.
    outExtension: { '.js': '.cjs' },
    bundle: true,
    platform: 'node',
    target: 'node22',
    format: 'cjs',
    minify: true,
    logLevel: 'warning',
    metafile: true,
  });
  const page = await buildDashboard(path.join(dist, 'dashboard'));
  for (const name of readdirSync(lib)) if (name.endsWith('.mjs')) writeAscii(path.join(lib, name));
  copyFileSync(path.join(root, 'packaging/fairlead.cjs'), path.join(dist, 'fairlead.cjs'));
  chmodSync(path.join(dist, 'fairlead.cjs'), 0o755);

  const sqlite = path.dirname(createRequire(import.meta.url).resolve('better-sqlite3/package.json'));
  for (const target of ['linux-x64', 'linux-arm64', 'linuxmusl-x64', 'linuxmusl-arm64']) {
    copyFileSync(path.join(sqlite, 'prebuilds', `${target}.node`), path.join(dist, `better_sqlite3-${target}.node`));
  }
  copyFileSync(path.join(root, 'systemd/fairlead.service'), path.join(dist, 'fairlead.service'));
  // The script with which the agent upgrades itself.
  copyFileSync(path.join(root, 'systemd/fairlead-upgrade.service'), path.join(dist, 'fairlead-upgrade.service'));
  writeFileSync(path.join(dist, 'upgrade.sh'), upgradeScript());
  writeFileSync(path.join(dist, 'VERSION'), `${version}\n`);
  // For scripts, which must know before an upgrade or downgrade whether the state can be read.
  writeFileSync(path.join(dist, 'SCHEMA'), `${await schemaOf(replaced[MIGRATIONS] ?? MIGRATIONS)}\n`);

  const man = path.join(dist, 'man');
  mkdirSync(man);
  writeFileSync(path.join(man, 'fairlead.1'), manProgram(version));
  writeFileSync(path.join(man, 'agent.yaml.5'), manConfig(version));
  const inputs = [program.metafile, reader.metafile, page].flatMap(inputsOf);
  return inputs.sort().filter((f, at, all) => f !== all[at - 1]);
}

const MIGRATIONS = 'agent/store/schema/migrations.ts';
/** The newest format of the database. */
const schemaOf = async (file: string): Promise<number> =>
  ((await import(path.join(root, file))) as { MIGRATIONS: readonly string[] }).MIGRATIONS.length;

/**
 * One of Node's own modules as a module of which esbuild keeps only the used exports. By default it creates a copy with an
 * accessor for each export in each file that imports one: ten thousand of them in the daemon.
 */
function byRequire(name: string): string {
  const names = Object.keys(createRequire(import.meta.url)(name) as object).filter(
    (one) => /^[A-Za-z_$][\w$]*$/.test(one) && one !== 'default',
  );
  return [
    `const all = require('${name}');`,
    'export default all;',
    // As a pure call, an unused export is removed, and what it would load is not loaded.
    ...names.map((one) => `const _${one} = /* @__PURE__ */ (() => all.${one})();\nexport { _${one} as ${one} };`),
  ].join('\n');
}

/**
 * Loaded when something of them is used: TLS reads the certificates of all public CAs as soon as it is loaded, and an agent whose
 * repository and broker are reached by http, ssh or plain MQTT never needs it.
 */
const ON_USE: readonly string[] = ['https', 'tls'];

/** One of Node's own modules that is loaded when something of it is used; a default export only. */
const onUse = (name: string): string =>
  `new Proxy({}, { get: (_, key) => (key === '__esModule' ? undefined : process.getBuiltinModule('${name}')[key]) })`;

/** The inputs that are really used: a file of which nothing remains is not part of the program. */
const inputsOf = ({ outputs }: Metafile): string[] =>
  Object.values(outputs).flatMap(({ inputs }) =>
    Object.entries(inputs).flatMap(([file, { bytesInOutput }]) => (bytesInOutput > 0 ? [file] : [])),
  );

/** A replacement can still import the original by its name. */
const replacing = (replaced: Readonly<Record<string, string>>): Plugin => ({
  name: 'replaced',
  setup({ onResolve }) {
    const own = new Map(Object.entries(replaced).map(([of, by]) => [path.join(root, of), path.join(root, by)]));
    onResolve({ filter: /^\.{1,2}\// }, ({ path: name, resolveDir, importer }) => {
      const by = own.get(path.join(resolveDir, name));
      return by === undefined || by === importer ? undefined : { path: by };
    });
  },
});

/** If a source has one character outside ASCII, in some regular expression, V8 stores it with two bytes a character. */
function writeAscii(file: string): void {
  const text = readFileSync(file, 'utf8');
  const escaped = (letter: string) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`;
  writeFileSync(file, text.replaceAll(/[^\0-\x7f]/g, escaped));
}
