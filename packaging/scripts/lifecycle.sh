# What packages, and the installer of the tarball, do to an agent that is there. POSIX sh; sourced or put before a script
# that sets VERSION and SCHEMA (the newest form of the database that this version reads).
PROGRAM=/usr/lib/fairlead
PREVIOUS=/usr/lib/fairlead.previous
FAILED=/usr/lib/fairlead.failed
STATE=/var/lib/fairlead
CONFIG=/etc/fairlead
UNIT=/usr/lib/systemd/system/fairlead.service

booted() { [ -d /run/systemd/system ]; }

number_in() {
  found=$(cat "$1" 2>/dev/null || true)
  case $found in '' | *[!0-9]*) found=0 ;; esac
  echo "$found"
}

# Before anything is touched: an older agent cannot read what a newer one has written.
refuse_downgrade() {
  written=$(number_in "$STATE/schema")
  [ "$written" -gt "$SCHEMA" ] || return 0
  echo "fairlead $VERSION cannot be installed: the state in $STATE was written by a newer version (form $written of the database; this version reads up to $SCHEMA). Nothing was changed; keep the newer version." >&2
  if [ -f "$STATE/history.db.$SCHEMA" ]; then
    echo "To return to the state before that upgrade, and lose the history since: systemctl stop fairlead; cd $STATE; ln -f history.db history.db.left; rm -f history.db-wal history.db-shm; mv history.db.$SCHEMA history.db; echo $SCHEMA > schema" >&2
  fi
  return 1
}

# To the disk with what was written: sync(1) of the file systems at hand, or of all where it knows no other.
write_out() { sync -f "$STATE" "${PROGRAM%/*}" /etc/systemd/system 2>/dev/null || sync; }

# The program as it is, by hard links where that can be; an upgrade that was cut short has kept it already.
keep_previous() {
  [ -d "$PROGRAM" ] || return 0
  [ ! -e "$PREVIOUS/was-running" ] || return 0
  rm -rf "$PREVIOUS" "$PREVIOUS.new"
  cp -al "$PROGRAM" "$PREVIOUS.new" 2>/dev/null || { rm -rf "$PREVIOUS.new"; cp -a "$PROGRAM" "$PREVIOUS.new"; }
  [ ! -f "$UNIT" ] || cp -p "$UNIT" "$PREVIOUS.new/fairlead.service"
  mv "$PREVIOUS.new" "$PREVIOUS"
}

# Workloads are units and containers of their own, and run on.
stop_agent() {
  booted || return 0
  systemctl is-active --quiet fairlead.service || return 0
  [ ! -d "$PREVIOUS" ] || touch "$PREVIOUS/was-running"
  systemctl stop fairlead.service
}

# It says that it is ready, and is still that very process a moment later.
starts() {
  systemctl start fairlead.service || return 1
  first=$(systemctl show -P MainPID fairlead.service)
  for _ in 1 2 3; do
    sleep 1
    [ "$(systemctl show -P MainPID fairlead.service)" = "$first" ] || return 1
  done
}

# After an upgrade that stopped the agent. Fails, with the former version back and running, where the new one does not start.
start_or_put_back() {
  if [ ! -e "$PREVIOUS/was-running" ]; then
    rm -rf "$PREVIOUS"
    [ ! -e "$FAILED" ] && return 0
    echo "fairlead $VERSION did not start after its installation, and the former version was restored: install another version, or this one again" >&2
    return 1
  fi
  if ! booted; then
    rm -rf "$PREVIOUS" "$FAILED"
    return 0
  fi
  systemctl daemon-reload
  if starts; then
    rm -rf "$PREVIOUS" "$FAILED"
    return 0
  fi
  former=$(cat "$PREVIOUS/VERSION")
  echo "fairlead $VERSION does not start:" >&2
  journalctl -u fairlead.service -o cat -n 20 --no-pager 2>/dev/null | tail -n 5 >&2 || true
  put_back
  systemctl start fairlead.service || true
  echo "fairlead $former was restored and is $(systemctl is-active fairlead.service || true); nothing that it manages was changed" >&2
  return 1
}

# Killed, it is begun again as long as $PREVIOUS is there, which therefore goes last.
put_back() {
  systemctl stop fairlead.service || true
  if [ -e "$PROGRAM" ]; then
    rm -rf "$FAILED"
    mv "$PROGRAM" "$FAILED"
  fi
  [ ! -f "$PREVIOUS/fairlead.service" ] || cp -p "$PREVIOUS/fairlead.service" "$UNIT"
  put_database_back "$(number_in "$PREVIOUS/SCHEMA")"
  mv "$PREVIOUS" "$PROGRAM"
  rm -f "$PROGRAM/was-running"
  systemctl daemon-reload
}

# The database of before a migration, whose form is $1. What gives way stays beside it as history.db.left, until the next agent has taken
# over the events in it that were not reported yet. Every step may be done twice.
put_database_back() {
  [ "$(number_in "$STATE/schema")" -gt "$1" ] || return 0
  [ -f "$STATE/history.db.$1" ] || return 0
  # What a killed restore left: neither ln nor cp replaces a name by the very file that it names already, with -f either.
  rm -f "$STATE/history.db.back"
  # A disk may have no room for another copy.
  ln "$STATE/history.db.$1" "$STATE/history.db.back" 2>/dev/null || cp -p "$STATE/history.db.$1" "$STATE/history.db.back"
  if [ ! -e "$STATE/history.db.left" ] && [ -e "$STATE/history.db" ]; then
    rm -f "$STATE/history.db.left-wal"
    [ ! -e "$STATE/history.db-wal" ] || ln "$STATE/history.db-wal" "$STATE/history.db.left-wal"
    ln "$STATE/history.db" "$STATE/history.db.left"
  fi
  echo "$1" > "$STATE/schema.new"
  write_out
  rm -f "$STATE/history.db-wal" "$STATE/history.db-shm"
  # Nor does mv.
  [ "$STATE/history.db.back" -ef "$STATE/history.db" ] || mv "$STATE/history.db.back" "$STATE/history.db"
  mv "$STATE/schema.new" "$STATE/schema"
  write_out
  # rename(2) leaves both names where they are one file already.
  rm -f "$STATE/history.db.$1" "$STATE/history.db.back"
}

# What an upgrade that put the former version back has left in the way of the files of another one.
clear_put_back() {
  [ -e "$FAILED" ] || return 0
  rm -rf "$FAILED" "$PROGRAM/lib" "$PROGRAM/fairlead.service"
}

# The upgrade came to nothing, and the files are the former ones again.
start_again() {
  [ -e "$PREVIOUS/was-running" ] || { rm -rf "$PREVIOUS"; return 0; }
  rm -rf "$PREVIOUS"
  ! booted || systemctl start fairlead.service || true
}

# After a first installation: where there is no agent.yaml, the condition of the unit leaves it alone.
start_if_enabled() {
  booted || return 0
  systemctl daemon-reload
  ! systemctl is-enabled --quiet fairlead.service || systemctl start fairlead.service || true
}

name_next_step() {
  [ -e "$CONFIG/agent.yaml" ] || echo "fairlead is installed; next: fairlead init https://git.example.com/fleet.git --broker mqtts://broker.example.com:8883"
}

# Notes what fairlead itself wrote below tree/, for a purge, and stops the agent for good.
leave_host() {
  drop_order
  "$PROGRAM/node" "$PROGRAM/fairlead.cjs" uninstall --note >/dev/null 2>&1 || true
  ! booted || systemctl stop fairlead.service || true
}

# An upgrade that a commit asked for must bring back nothing.
drop_order() {
  [ -d "$STATE/upgrade" ] || return 0
  ! booted || systemctl stop fairlead-upgrade.service 2>/dev/null || true
  rm -rf "$STATE/upgrade" /usr/lib/fairlead.before /usr/lib/fairlead.rejected
  rm -f /etc/systemd/system/fairlead-upgrade.service /etc/systemd/system/multi-user.target.wants/fairlead-upgrade.service
}

drop_leftovers() {
  rm -rf "$PREVIOUS" "$FAILED"
  # It may be a mount of its own, which is emptied and stays.
  rm -rf /var/cache/fairlead 2>/dev/null || true
}

# The agent's own state. Data of workloads is not: below tree/ only what fairlead wrote and nobody changed since goes, and
# nothing while a process still has it mounted.
purge_state() {
  drop_leftovers
  rm -f "$CONFIG/agent.yaml" "$CONFIG/ssh_key" "$CONFIG/ssh_key.pub"
  rmdir "$CONFIG" 2>/dev/null || name_left "$CONFIG" "files that fairlead did not write"
  [ -d "$STATE" ] || return 0
  used=
  # The fourth field of a mount is a path in its own file system: proc_pid_mountinfo(5).
  mount=$(stat -c %m "$STATE")
  if grep -qsE " ${STATE#"${mount%/}"}/(tree|secrets)/" /proc/[0-9]*/mountinfo; then used=1; fi
  for entry in "$STATE"/* "$STATE"/.[!.]*; do
    case ${entry##*/} in
      tree | tree.sums) ;;
      secrets) [ -n "$used" ] || rm -rf "$entry" ;;
      *) rm -rf "$entry" ;;
    esac
  done
  if [ -n "$used" ]; then
    name_left "$STATE" "files that running containers have mounted"
    return 0
  fi
  purge_tree
  rm -f "$STATE/tree.sums"
  rmdir "$STATE" 2>/dev/null || name_left "$STATE" "files that fairlead did not write"
}

# Each line of tree.sums is of sha256sum(1); a file whose content is another one by now is somebody's.
purge_tree() {
  [ -d "$STATE/tree" ] || return 0
  [ ! -f "$STATE/tree.sums" ] || while IFS= read -r line; do
    file=${line#*  }
    case $file in "$STATE/tree/"*) ;; *) continue ;; esac
    [ -f "$file" ] && [ ! -L "$file" ] || continue
    ! printf '%s\n' "$line" | sha256sum --check --status 2>/dev/null || rm -f "$file"
  done < "$STATE/tree.sums"
  find "$STATE/tree" -depth -type d -empty -delete 2>/dev/null || true
}

name_left() {
  [ -e "$1" ] || return 0
  echo "fairlead: $1 stays, with $2:" >&2
  find "$1" -mindepth 1 ! -type d 2>/dev/null | head -n 50 >&2
}
