#!/bin/sh
# Installs fairlead from this directory, or puts another version in its place: sh install.sh. For hosts with systemd and glibc
# 2.28 or newer whose packages are neither .deb nor .rpm. Workloads are not touched.
set -e
cd "$(dirname "$0")"
. ./lifecycle.sh

[ "$(id -u)" = 0 ] || { echo "install.sh must run as root" >&2; exit 1; }
"./files$PROGRAM/node" --version >/dev/null || { echo "the Node in this archive does not run here: it needs glibc 2.28 or newer on $ARCH" >&2; exit 1; }

refuse_downgrade
keep_previous
stop_agent
clear_put_back
rm -rf "$PROGRAM"
(cd files && find . -type d -o -print) | sed 's/^\.//' > .list
# Directories that are there keep their owner and mode, and those that are links stay links.
tar -C files -cf - . | tar -C / --no-overwrite-dir --keep-directory-symlink --same-owner -xpf -
cp -p uninstall.sh lifecycle.sh .list "$PROGRAM/"
if booted; then
  systemd-sysusers fairlead.conf || true
  systemd-tmpfiles --create fairlead.conf || true
fi
if [ -d "$PREVIOUS" ]; then start_or_put_back; else start_if_enabled; fi
name_next_step
