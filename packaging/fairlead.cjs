#!/usr/bin/env node
// Starts the program, whose parts lie in lib/. Kept in old syntax, so that an old Node can say that it is too old.
'use strict';
const { statSync } = require('node:fs');
const { enableCompileCache } = require('node:module');

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 12)) {
  console.error(`fairlead needs Node 22.12 or newer, and this is ${process.versions.node}; install a newer one`);
  process.exit(1);
}

// Compiled code is kept between starts where nobody but root can have put it: the unit's CacheDirectory=.
const CACHE = '/var/cache/fairlead';
try {
  const { uid, mode } = statSync(CACHE);
  if (process.getuid() === 0 && uid === 0 && (mode & 0o022) === 0) enableCompileCache(CACHE);
} catch {
  // There is none: the start takes a little longer.
}
import('./lib/main.mjs');
