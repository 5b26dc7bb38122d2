#!/bin/sh
# Installs an rpm with its scriptlets into a root that is this Debian machine's own, written to memory: unshare -m sh try.sh RPM WORK
set -e
rpm=$1 work=$2
mount -t tmpfs tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/root"
root=$work/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" "$root"
mount -t proc proc "$root/proc"
# It is a root, and no booted host.
mount -t tmpfs tmpfs "$root/run"
rm -rf "$root/etc/fairlead" "$root/var/lib/fairlead" "$root/var/lib/rpm"
rpm --root "$root" --initdb
on() { rpm --root "$root" --nodeps "$@"; }

on -i "$rpm"
chroot "$root" fairlead version
grep -q '^fairlead:' "$root/etc/group"
chroot "$root" fairlead init /srv/fleet.git --host trial --json
mkdir -p "$root/var/lib/fairlead"
echo 999 > "$root/var/lib/fairlead/schema"
if on -U --force "$rpm"; then echo "a state of a newer version was not refused"; exit 1; fi
rm "$root/var/lib/fairlead/schema"
on -U --force "$rpm"
chroot "$root" fairlead version
on -e fairlead
if [ -e "$root/usr/lib/fairlead" ]; then echo "the program was not removed"; exit 1; fi
[ -e "$root/var/lib/fairlead/age.key" ] || { echo "the host's key was removed"; exit 1; }
