# An upgrade that a commit asks for (docs/upgrade.md): puts the package in place, judges the new agent from outside, and puts the
# former one back if it is not well. Comes behind lifecycle.sh; fairlead-upgrade.service runs it, from a copy in the state, and
# nothing in it needs the agent that is upgraded. It may be killed anywhere, and goes on by `phase`.
UPGRADE=$STATE/upgrade
ORDER=$UPGRADE/order
WATCHER=/etc/systemd/system/fairlead-upgrade.service
WANTS=/etc/systemd/system/multi-user.target.wants/fairlead-upgrade.service
# The program that runs now, until the new one has proved itself.
BEFORE=/usr/lib/fairlead.before
REJECTED=/usr/lib/fairlead.rejected
LOOK='let t="";process.stdin.on("data",d=>t+=d).on("end",()=>{const s=JSON.parse(t);console.log(s.agent.version,s.run===null?"idle":"ran",s.problems.map(p=>p.id.replace(/\s/g,"_")).join(" "))})'
# What speaks against the new version, in a word and a sentence.
CAUSE='' WHY=''

ordered() { sed -n "s/^$1=//p" "$ORDER"; }
say() { echo "$*" >&2; }
against() { CAUSE=$1 WHY=$2; say "$2"; return 1; }

# Whole or not at all, after all that it follows from is on the disk, and before anything follows from it: after a power cut a file that
# was written a moment ago may be empty under its new name, and what lies on another file system older.
put() {
  cat > "$UPGRADE/$1.new"
  write_out
  mv "$UPGRADE/$1.new" "$UPGRADE/$1"
  write_out
}
phase() { cat "$UPGRADE/phase" 2>/dev/null || true; }
enter() { echo "$1" | put phase; }
seconds() { read -r up _ < /proc/uptime; echo "${up%.*}"; }

# One file out of the package, without unpacking the rest.
inside() {
  case $FORMAT in
    deb) dpkg-deb --fsys-tarfile "$PACKAGE" | tar -xOf - "./usr/lib/fairlead/$1" ;;
    tarball) tar -xOf "$PACKAGE" --wildcards "*/files/usr/lib/fairlead/$1" ;;
    # rpm shows no file of a package; its %pre looks at the state.
    rpm) case $1 in VERSION) rpm -qp --qf '%{VERSION}' "$PACKAGE" | tr '~' '-' ;; *) echo 0 ;; esac ;;
  esac 2>/dev/null | head -n 1
}

# Before anything is touched.
check_package() {
  echo "$(ordered sha256)  $PACKAGE" | sha256sum --check --status || against damaged "the package differs from the staged one" || return 1
  brings=$(inside VERSION || true)
  [ "$brings" = "$VERSION" ] || against other "the package brings version ${brings:-that cannot be read}, not $VERSION" || return 1
  SCHEMA=$(inside SCHEMA || true)
  case $SCHEMA in '' | *[!0-9]*) SCHEMA=0 ;; esac
  [ "$SCHEMA" = 0 ] || [ "$(number_in "$STATE/schema")" -le "$SCHEMA" ] || against state "the state was written by a newer version (form $(number_in "$STATE/schema") of the database; $VERSION reads up to $SCHEMA)"
}

keep_before() {
  rm -rf "$BEFORE" "$BEFORE.new" "$REJECTED"
  cp -al "$PROGRAM" "$BEFORE.new" 2>/dev/null || { rm -rf "$BEFORE.new"; cp -a "$PROGRAM" "$BEFORE.new"; }
  unit=$(systemctl show -P FragmentPath fairlead.service)
  echo "$unit" > "$UPGRADE/unit"
  [ ! -f "$unit" ] || cp -p "$unit" "$BEFORE.new/fairlead.service.before"
  mv "$BEFORE.new" "$BEFORE"
}

install_package() {
  case $FORMAT in
    deb)
      # 2 is for trouble such as another dpkg at work, which passes: dpkg(1).
      for try in 1 2 3 4 5 6 7 8 9 10 11 12; do
        code=0
        DEBIAN_FRONTEND=noninteractive dpkg --install --force-confold "$PACKAGE" || code=$?
        [ "$code" = 2 ] || return "$code"
        say "dpkg is busy or fails; try $try of 12"
        sleep 10
      done
      return 2
      ;;
    rpm) rpm -U --oldpackage --replacepkgs "$PACKAGE" ;;
    tarball)
      rm -rf "$UPGRADE/unpacked"
      mkdir "$UPGRADE/unpacked"
      tar -xf "$PACKAGE" -C "$UPGRADE/unpacked" || return 1
      sh "$UPGRADE"/unpacked/*/install.sh || return 1
      rm -rf "$UPGRADE/unpacked"
      ;;
  esac
}

# For people: what the package's own script says of this version, or else the last line that is no list of names.
last_word() {
  word=$(grep "^fairlead $VERSION " "$UPGRADE/log" | head -n 1)
  [ -n "$word" ] || word=$(grep -v '^ \|^$\|^dpkg: error processing\|^Errors were' "$UPGRADE/log" | tail -n 1)
  echo "${word%:}"
}

switch_over() {
  tries=$(number_in "$UPGRADE/tries")
  [ "$tries" -lt 3 ] || against interrupted "the installation was interrupted $tries times" || return 1
  echo $((tries + 1)) | put tries
  say "installing $PACKAGE"
  if ! install_package > "$UPGRADE/log" 2>&1; then
    cat "$UPGRADE/log" >&2
    against install "the package cannot be installed: $(last_word)"
    return 1
  fi
  cat "$UPGRADE/log" >&2
  [ "$(cat "$PROGRAM/VERSION" 2>/dev/null)" = "$VERSION" ] || against install "the package was installed, and version $VERSION is not there" || return 1
  systemctl is-active --quiet fairlead.service || systemctl start fairlead.service || true
}

# The agent's own word on itself: its version, whether it has finished a run, and the names of its problems.
look() {
  timeout 30 "$PROGRAM/node" "$PROGRAM/fairlead.cjs" status --json 2>/dev/null | "$BEFORE/node" -e "$LOOK" 2>/dev/null
}

# Fails as soon as it is clear that the new agent is not well, and passes no sooner than the time of its trial is over.
judge() {
  period=$(ordered seconds)
  every=$((period / 60 + 1))
  [ "$every" -le 10 ] || every=10
  steady=$((period / 2))
  [ "$steady" -le 120 ] || steady=120
  # A short trial, as tests have it, has time for a slow start all the same.
  mute=$((period / 2)) limit=$((period + steady * 2))
  [ "$mute" -ge 30 ] || mute=30
  [ "$limit" -ge 60 ] || limit=60
  high=$(systemctl show -P MemoryHigh fairlead.service)
  case $high in '' | *[!0-9]*) high=0 ;; esac
  began=$(seconds) since=$(seconds) last='' ends=0 large=0 said=''
  while :; do
    now=$(seconds)
    pid=$(systemctl show -P MainPID fairlead.service)
    if [ "$pid" != "$last" ]; then
      [ -z "$last" ] || [ "$pid" != 0 ] || ends=$((ends + 1))
      [ -z "$last" ] || [ "$pid" = 0 ] || [ "$last" = 0 ] || ends=$((ends + 1))
      last=$pid since=$now
    fi
    [ "$ends" -lt 5 ] || against crashed "the new agent ended $ends times" || return 1
    if [ "$high" -gt 0 ] && [ "$(anonymous "$pid")" -gt $((high / 1024)) ]; then large=$((large + 1)); else large=0; fi
    [ "$large" -lt 5 ] || against memory "the new agent takes more memory than its unit allows ($(anonymous "$pid") KiB)" || return 1
    heard=$(look || true)
    [ -z "$heard" ] || said=$heard
    [ -n "$said" ] || [ $((now - began)) -lt "$mute" ] || { blame ''; return 1; }
    if [ $((now - began)) -ge "$period" ]; then
      if [ "$pid" != 0 ] && [ "$large" = 0 ] && [ $((now - since)) -ge "$steady" ] && is_well "$heard"; then return 0; fi
      # One that was ended late, such as by hand, has a while to be steady again.
      [ $((now - began)) -lt "$limit" ] || { blame "$said"; return 1; }
    fi
    sleep "$every"
  done
}

# KiB of memory that is the process's own: proc_pid_status(5).
anonymous() {
  found=$(sed -n 's/^RssAnon:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$1/status" 2>/dev/null || true)
  echo "${found:-0}"
}

is_well() {
  case $1 in "$VERSION ran"*) ;; *) return 1 ;; esac
  for name in $(ordered reached); do
    case " ${1#* } " in *" $name "*) return 1 ;; esac
  done
}

blame() {
  case $1 in
    '') against silent "the new agent does not answer" ;;
    "$VERSION ran"*) against unreachable "the new agent does not reach what the former one reached ($(ordered reached))" ;;
    "$VERSION "*) against idle "the new agent has finished no run" ;;
    *) against other "another version answers (${1%% *})" ;;
  esac
}

# Whether the program is the former one, file by file. Where it is, nothing was touched, or the package itself put it back.
is_before() {
  [ -d "$BEFORE" ] || return 0
  (cd "$BEFORE" && find . -type f ! -name fairlead.service ! -name fairlead.service.before) | while IFS= read -r file; do
    [ "$BEFORE/$file" -ef "$PROGRAM/$file" ] || exit 1
  done
}

# Every step of it may be done twice.
restore() {
  say "putting version $(ordered from) back"
  systemctl stop fairlead.service || true
  if [ -d "$BEFORE" ]; then
    rm -rf "$REJECTED"
    [ ! -e "$PROGRAM" ] || mv "$PROGRAM" "$REJECTED"
    mv "$BEFORE" "$PROGRAM"
  fi
  unit=$(cat "$UPGRADE/unit" 2>/dev/null || true)
  if [ -f "$PROGRAM/fairlead.service.before" ] && [ -n "$unit" ]; then
    cp -p "$PROGRAM/fairlead.service.before" "$unit.new"
    write_out
    mv "$unit.new" "$unit"
    rm -f "$PROGRAM/fairlead.service.before"
  fi
  put_database_back "$(number_in "$PROGRAM/SCHEMA")"
  # The next package then clears away what the one that was put back has left: clear_put_back.
  rm -rf "$REJECTED" "$PREVIOUS" "$FAILED"
  mkdir "$FAILED"
  systemctl daemon-reload
}

put_former_back() {
  # One that was begun is brought to its end.
  if [ -e "$UPGRADE/restoring" ] || ! is_before; then
    touch "$UPGRADE/restoring"
    write_out
    restore
  fi
  rm -rf "$BEFORE" "$PREVIOUS"
  systemctl is-active --quiet fairlead.service || systemctl start fairlead.service || true
}

# What became of it, for the agent that runs now and for those to come; then nothing is left of the order.
finish() {
  [ "$1" = upgraded ] || say "version $(ordered from) goes on; $VERSION: $WHY"
  {
    echo "version=$VERSION"
    echo "sha256=$(ordered sha256)"
    echo "from=$(ordered from)"
    echo "verdict=$1"
    echo "cause=$CAUSE"
    echo "message=$(printf %s "$WHY" | tr -c '[:print:]' ' ' | cut -c 1-300)"
    echo "at=$(date +%s)"
  } | put result
  if [ "$1" = failed ]; then
    mkdir -p "$UPGRADE/bad"
    cp "$UPGRADE/result" "$UPGRADE/bad/$(ordered sha256)"
  fi
  enter ended
  clear_away
}

clear_away() {
  rm -rf "$UPGRADE/package" "$UPGRADE/unpacked" "$BEFORE" "$WANTS"
  rm -f "$PROGRAM/fairlead.service.before" "$UPGRADE/tries" "$UPGRADE/unit" "$UPGRADE/log" "$UPGRADE/cause" "$UPGRADE/restoring"
  rm -f "$ORDER"
  write_out
  rm -f "$UPGRADE/phase" "$WATCHER"
  systemctl daemon-reload
}

upgrade() {
  [ "$(phase)" != ended ] || { clear_away; return 0; }
  [ -f "$ORDER" ] || return 0
  VERSION=$(ordered version) FORMAT=$(ordered format) PACKAGE=$UPGRADE/package/$(ordered file)
  if [ -z "$(phase)" ]; then
    check_package || { finish failed; return 0; }
    keep_before
    enter switching
  fi
  if [ "$(phase)" = switching ]; then
    if switch_over; then enter judging; else give_up; fi
  fi
  if [ "$(phase)" = judging ]; then
    say "version $VERSION is on trial for $(ordered seconds) s"
    if judge; then enter good; else give_up; fi
  fi
  if [ "$(phase)" = back ]; then
    CAUSE=$(sed -n 1p "$UPGRADE/cause") WHY=$(sed -n 2p "$UPGRADE/cause")
    put_former_back
    finish failed
  elif [ "$(phase)" = good ]; then
    say "version $VERSION has passed its trial"
    finish upgraded
  fi
}

give_up() {
  printf '%s\n%s\n' "$CAUSE" "$WHY" | put cause
  enter back
}
