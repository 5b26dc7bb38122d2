#!/bin/sh
# Takes fairlead off this host: sh /usr/lib/fairlead/uninstall.sh [--purge]. What it manages runs on. --purge removes the
# agent's own state too, and nothing that it did not write.
set -e
cd "$(dirname "$0")"
. ./lifecycle.sh

[ "$(id -u)" = 0 ] || { echo "uninstall.sh must run as root" >&2; exit 1; }
leave_host
! booted || systemctl disable fairlead.service >/dev/null 2>&1 || true
while IFS= read -r file; do rm -f "$file"; done < .list
cd /
rm -rf "$PROGRAM" /usr/share/doc/fairlead
! booted || systemctl daemon-reload
drop_leftovers
[ "${1:-}" != --purge ] || purge_state
