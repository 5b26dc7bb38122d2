/** Builds dist/: one bundle, SQLite's addon beside it, the unit file. Copied anywhere, it runs with any Node >= 22.12. */
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { build } from 'esbuild';

const root = path.join(import.meta.dirname, '..');
const dist = path.join(root, 'dist');
const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string };

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist);

await build({
  entryPoints: [path.join(root, 'agent/main.ts')],
  outfile: path.join(dist, 'fairlead.cjs'),
  bundle: true,
  platform: 'node',
  target: 'node22',
  format: 'cjs',
  minify: true,
  legalComments: 'linked',
  banner: {
    js: "#!/usr/bin/env node\nconst __fairleadUrl = require('node:url').pathToFileURL(__filename).href;",
  },
  define: { 'import.meta.url': '__fairleadUrl', FAIRLEAD_VERSION: JSON.stringify(version) },
  alias: {
    // dockerode reaches the engine over its unix socket alone: BuildKit sessions (grpc, protobuf) and ssh are never used.
    '@grpc/grpc-js': path.join(root, 'packaging/stub.cjs'),
    '@grpc/proto-loader': path.join(root, 'packaging/stub.cjs'),
    protobufjs: path.join(root, 'packaging/stub.cjs'),
    ssh2: path.join(root, 'packaging/stub.cjs'),
    'cpu-features': path.join(root, 'packaging/stub.cjs'),
  },
  plugins: [
    {
      // zod's messages in fifty languages: ours are written in one.
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
});
chmodSync(path.join(dist, 'fairlead.cjs'), 0o755);

const sqlite = path.dirname(createRequire(import.meta.url).resolve('better-sqlite3/package.json'));
for (const target of ['linux-x64', 'linux-arm64', 'linuxmusl-x64', 'linuxmusl-arm64']) {
  copyFileSync(path.join(sqlite, 'prebuilds', `${target}.node`), path.join(dist, `better_sqlite3-${target}.node`));
}
copyFileSync(path.join(root, 'systemd/fairlead.service'), path.join(dist, 'fairlead.service'));
writeFileSync(path.join(dist, 'VERSION'), `${version}\n`);
