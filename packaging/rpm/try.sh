#!/bin/sh
# Installs, upgrades, takes back and erases rpms with their scriptlets in a root that is this Debian machine's own, written to
# memory: unshare -m sh try.sh RPM NEWER WORK. No service runs in such a root, so what scriptlets do to one is not tried here.
set -e
rpm=$1 newer=$2 work=$3
mount -t tmpfs tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/root"
root=$work/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" "$root"
mount -t proc proc "$root/proc"
# It is a root, and no booted host.
mount -t tmpfs tmpfs "$root/run"
rm -rf "$root/etc/fairlead" "$root/var/lib/fairlead" "$root/var/lib/rpm" "$root/usr/lib/fairlead" "$root/usr/lib/fairlead.previous"
rpm --root "$root" --initdb
on() { rpm --root "$root" --nodeps "$@"; }
fail() { echo "$1"; exit 1; }
is() { [ "$(chroot "$root" fairlead version)" = "fairlead $1" ] || fail "this is not version $1: $(chroot "$root" fairlead version)"; }
# As fairlead says it: rpm has 1.0~rc.1 for 1.0-rc.1.
version() { rpm -qp --qf '%{VERSION}' "$1" | tr '~' '-'; }

on -i "$rpm"
is "$(version "$rpm")"
grep -q '^fairlead:' "$root/etc/group" || fail "the group was not made"
chroot "$root" fairlead init /srv/fleet.git --host trial --json
mkdir -p "$root/var/lib/fairlead"

on -U "$newer"
is "$(version "$newer")"
[ ! -e "$root/usr/lib/fairlead.previous" ] || fail "the former program was not removed"
[ "$(rpm --root "$root" -q fairlead | wc -l)" = 1 ] || fail "both versions are installed"

echo 999 > "$root/var/lib/fairlead/schema"
! on -U --oldpackage "$rpm" || fail "a state of a newer version was not refused"
is "$(version "$newer")"
rm "$root/var/lib/fairlead/schema"
on -U --oldpackage "$rpm"
is "$(version "$rpm")"

on -e fairlead
[ ! -e "$root/usr/lib/fairlead" ] || fail "the program was not removed"
[ -e "$root/var/lib/fairlead/age.key" ] || fail "the host's key was removed"
[ -e "$root/etc/fairlead/agent.yaml" ] || fail "agent.yaml was removed"
