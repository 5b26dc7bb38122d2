/** How others bring the same files and units to a host, each as its own manual says: what runs on the host, and what lies in their repository. */

export interface Peer {
  name: string;
  /** Debian packages. */
  packages: readonly string[];
  /** Files in `/srv/policy/<dir>`. The payload comes with the peers' repository, in `<dir>/`. */
  policy(load: PeerLoad): Record<string, string>;
  argv(load: PeerLoad): string[];
}

export interface PeerLoad {
  kind: 'files' | 'units';
  /** In the repository, which is cloned to `/srv/peers`. */
  dir: string;
  /** Where files go; units go to /etc/systemd/system. */
  target: string;
  units: readonly string[];
}

const CLONE = '/srv/peers';
const SYSTEM = '/etc/systemd/system';
const PULL = `git -C ${CLONE} pull -q --ff-only`;
const payload = ({ dir }: PeerLoad) => `${CLONE}/${dir}`;
const policy = ({ dir }: PeerLoad) => `/srv/policy/${dir}`;

/** What a good administrator writes by hand: as little as possible, batched. */
const script: Peer = {
  name: 'script',
  packages: ['rsync'],
  policy: (load) => ({
    'apply.sh':
      load.kind === 'files'
        ? `set -e\n${PULL}\nmkdir -p ${load.target}\nrsync -a --delete ${payload(load)}/ ${load.target}/\n[ "$1" = quiet ] || sync -f ${load.target}\n`
        : `set -e\n${PULL}\nchanged=$(rsync -a --out-format=%n ${payload(load)}/ ${SYSTEM}/ | grep -v /$ || true)\nall="${load.units.join(' ')}"\nif [ -n "$changed" ]; then\n  sync -f ${SYSTEM}\n  systemctl daemon-reload\n  systemctl enable -q $all\n  systemctl restart $changed\nfi\nsystemctl is-active -q $all || systemctl start $all\n`,
  }),
  argv: (load) => ['sh', `${policy(load)}/apply.sh`],
};

const cfengine: Peer = {
  name: 'CFEngine',
  packages: ['cfengine3'],
  policy: (load) => ({
    'policy.cf':
      load.kind === 'files'
        ? `body common control { inputs => { "/usr/share/cfengine3/masterfiles/lib/stdlib.cf" }; bundlesequence => { "bench" }; }
bundle agent bench {
  files:
    "${load.target}/." create => "true";
    "${load.target}" copy_from => local_dcp("${payload(load)}"), depth_search => recurse("inf");
}
`
        : `body common control { inputs => { "/usr/share/cfengine3/masterfiles/lib/stdlib.cf" }; bundlesequence => { "bench" }; }
body classes changed(unit) { promise_repaired => { "changed", canonify("changed_$(unit)") }; }
bundle agent bench {
  vars:
    "units" slist => { ${load.units.map((u) => `"${u}"`).join(', ')} };
  files:
    "${SYSTEM}/$(units)" copy_from => local_dcp("${payload(load)}/$(units)"), classes => changed("$(units)");
  commands:
    changed::
      "/usr/bin/systemctl daemon-reload";
      "/usr/bin/systemctl try-restart $(units)" if => canonify("changed_$(units)");
    any::
      # Its own services promises take a second a unit.
      "/usr/bin/systemctl enable --now $(units)"
        if => not(returnszero("/usr/bin/systemctl is-active -q $(units) && /usr/bin/systemctl is-enabled -q $(units)", "useshell"));
}
`,
  }),
  argv: (load) => ['sh', '-c', `${PULL} && cf-agent -K -f ${policy(load)}/policy.cf`],
};

const puppet: Peer = {
  name: 'Puppet',
  packages: ['puppet-agent'],
  policy: (load) => ({
    'site.pp':
      load.kind === 'files'
        ? `file { '${load.target}': ensure => directory, recurse => true, source => 'file://${payload(load)}', owner => 'root', group => 'root' }\n`
        : load.units
            .map(
              (unit) =>
                `file { '${SYSTEM}/${unit}': source => 'file://${payload(load)}/${unit}' }\n-> service { '${unit}': ensure => running, enable => true, provider => systemd, subscribe => File['${SYSTEM}/${unit}'] }\n`,
            )
            .join(''),
  }),
  argv: (load) => ['sh', '-c', `${PULL} && puppet apply --logdest /var/log/bench-puppet.log ${policy(load)}/site.pp`],
};

export const PEERS: readonly Peer[] = [script, cfengine, puppet];
