#!/usr/bin/env bash
# Sets the project up where it is not, puts its own Node 24 first, and runs the rest of the command line.
set -euo pipefail
cd "$(dirname "$0")/.."
# Two at once on a fresh clone: the second waits, and finds all of it done.
exec 9<packaging/with-node.sh
flock 9
if [ ! -x node_modules/node/bin/node ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  echo "installing the project's packages …" >&2
  # Warnings are about the machine's own Node, which is not the one that runs anything here.
  npm ci --no-audit --no-fund --loglevel=error >&2 9<&-
fi
exec 9<&-
export PATH="$PWD/node_modules/node/bin:$PWD/node_modules/.bin:$PATH"
exec "$@"
