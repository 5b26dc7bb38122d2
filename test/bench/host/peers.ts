/**
 * How other tools install the same files and units on a host, each by its own manual: what runs on the host, and their
 * repository.
 */
import type { TOOLS } from '../report/catalogue.ts';

export type PeerName = Exclude<(typeof TOOLS)[number], 'fairlead'> | 'ansible-pull';

export interface Peer {
  name: PeerName;
  /** Debian packages. */
  packages: readonly string[];
  /** Files in `/srv/policy/<dir>`. The payload comes with the peers' repository. */
  policy(load: PeerLoad): Record<string, string>;
  argv(load: PeerLoad): string[];
}

/** The desired resources; in their repository each part has a directory of its own in `<dir>/`: files, units, stack. */
export interface PeerLoad {
  /** In the repository, which is cloned to `/srv/peers`. */
  dir: string;
  /** Directory of `files` on the host. */
  files?: string;
  /** Names of `units`, which are installed in /etc/systemd/system. */
  units?: readonly string[];
  /** Names of the containers of the stack in `stack`. */
  containers?: readonly string[];
}

const CLONE = '/srv/peers';
const REPOSITORY = '$(git -C /srv/peers remote get-url origin)';
const SYSTEM = '/etc/systemd/system';
const PULL = `git -C ${CLONE} pull -q --ff-only`;
const payload = ({ dir }: PeerLoad, part: 'files' | 'units' | 'stack') => `${CLONE}/${dir}/${part}`;
const policy = ({ dir }: PeerLoad) => `/srv/policy/${dir}`;
/** None of the peers manages a stack better than the command itself. */
const composeUp = (load: PeerLoad) => `docker compose -f ${payload(load, 'stack')}/compose.yaml up -d`;
const lines = (...all: (string | false)[]): string => all.filter((l) => l !== false).join('\n');

/** The script of a good administrator: as little as possible, batched. */
const script: Peer = {
  name: 'script',
  packages: ['rsync'],
  policy: (load) => {
    const { files, units = [], containers = [] } = load;
    const all = units.join(' ');
    return {
      'apply.sh': lines(
        'set -e',
        PULL,
        files !== undefined && `mkdir -p ${files}\nrsync -a --delete ${payload(load, 'files')}/ ${files}/`,
        files !== undefined && `[ "$1" = quiet ] || sync -f ${files}`,
        units.length > 0 &&
          `changed=$(rsync -a --out-format=%n ${payload(load, 'units')}/ ${SYSTEM}/ | grep -v /$ || true)
if [ -n "$changed" ]; then
  sync -f ${SYSTEM}
  systemctl daemon-reload
  systemctl enable -q ${all}
  systemctl restart $changed
fi
systemctl is-active -q ${all} || systemctl start ${all}`,
        // What runs, and from which compose file: only the Docker engine is asked, as long as both are unchanged.
        containers.length > 0 &&
          `applied=$(cat ${policy(load)}/applied 2>/dev/null || true)
declared=$(sha256sum < ${payload(load, 'stack')}/compose.yaml)
running=$(docker inspect -f '{{.State.Running}}' ${containers.join(' ')} 2>/dev/null | grep -c true || true)
if [ "$applied" != "$declared" ] || [ "$running" != ${containers.length} ]; then
  ${composeUp(load)} >/dev/null 2>&1
  echo "$declared" > ${policy(load)}/applied
fi`,
        '',
      ),
    };
  },
  argv: (load) => ['sh', `${policy(load)}/apply.sh`],
};

const cfengine: Peer = {
  name: 'CFEngine',
  packages: ['cfengine3'],
  policy: (load) => {
    const { files, units = [], containers = [] } = load;
    return {
      'policy.cf': lines(
        'body common control { inputs => { "/usr/share/cfengine3/masterfiles/lib/stdlib.cf" }; bundlesequence => { "bench" }; }',
        'body classes changed(unit) { promise_repaired => { "changed", canonify("changed_$(unit)") }; }',
        'bundle agent bench {',
        files !== undefined &&
          `  files:
    "${files}/." create => "true";
    "${files}" copy_from => local_dcp("${payload(load, 'files')}"), depth_search => recurse("inf");`,
        units.length > 0 &&
          `  vars:
    "units" slist => { ${units.map((u) => `"${u}"`).join(', ')} };
  files:
    "${SYSTEM}/$(units)" copy_from => local_dcp("${payload(load, 'units')}/$(units)"), classes => changed("$(units)");
  commands:
    changed::
      "/usr/bin/systemctl daemon-reload";
      "/usr/bin/systemctl try-restart $(units)" if => canonify("changed_$(units)");
    any::
      # Its own services promises take a second a unit.
      "/usr/bin/systemctl enable --now $(units)"
        if => not(returnszero("/usr/bin/systemctl is-active -q $(units) && /usr/bin/systemctl is-enabled -q $(units)", "useshell"));`,
        containers.length > 0 && `  commands:\n    any::\n      "/usr/bin/${composeUp(load)}";`,
        '}',
        '',
      ),
    };
  },
  argv: (load) => ['sh', '-c', `${PULL} && cf-agent -K -f ${policy(load)}/policy.cf`],
};

const puppet: Peer = {
  name: 'Puppet',
  packages: ['puppet-agent'],
  policy: (load) => {
    const { files, units = [], containers = [] } = load;
    return {
      'site.pp': lines(
        files !== undefined &&
          `file { '${files}': ensure => directory, recurse => true, source => 'file://${payload(load, 'files')}', owner => 'root', group => 'root' }`,
        ...units.map(
          (unit) =>
            `file { '${SYSTEM}/${unit}': source => 'file://${payload(load, 'units')}/${unit}' }\n-> service { '${unit}': ensure => running, enable => true, provider => systemd, subscribe => File['${SYSTEM}/${unit}'] }`,
        ),
        containers.length > 0 && `exec { 'stack': command => '/usr/bin/${composeUp(load)}' }`,
        '',
      ),
    };
  },
  argv: (load) => ['sh', '-c', `${PULL} && puppet apply --logdest /var/log/bench-puppet.log ${policy(load)}/site.pp`],
};

/**
 * The copy of a directory is one task, which takes a quarter of a second for each file; its own rsync is not part of
 * ansible-core.
 */
const ansible: Peer = {
  name: 'ansible-pull',
  packages: ['ansible-core'],
  policy: (load) => {
    const { files, units = [], containers = [] } = load;
    return {
      'site.yml': lines(
        '- hosts: localhost',
        '  connection: local',
        '  gather_facts: false',
        '  tasks:',
        files !== undefined && `    - copy: {src: "${payload(load, 'files')}/", dest: "${files}/"}`,
        units.length > 0 &&
          `    - copy: {src: "${payload(load, 'units')}/{{ item }}", dest: "${SYSTEM}/{{ item }}"}
      loop: [${units.join(', ')}]
      notify: [reload, restart]
    - meta: flush_handlers
    - systemd: {name: "{{ item }}", enabled: true, state: started}
      loop: [${units.join(', ')}]`,
        containers.length > 0 && `    - command: ${composeUp(load)}`,
        units.length > 0 &&
          `  handlers:
    - name: reload
      systemd: {daemon_reload: true}
    - name: restart
      systemd: {name: "{{ item }}", state: restarted}
      loop: [${units.join(', ')}]`,
        '',
      ),
    };
  },
  argv: (load) => [
    'sh',
    '-c',
    `ansible-pull -U ${REPOSITORY} -C main -d ${CLONE} -i localhost, ${policy(load)}/site.yml`,
  ],
};

const PEERS: readonly Peer[] = [script, cfengine, puppet, ansible];

export interface ChosenPeers {
  chosen: readonly Peer[];
  absent: ReadonlyMap<PeerName, string>;
}

const choose = (reasonOf: (peer: Peer) => string | null): ChosenPeers => {
  const all = PEERS.map((peer) => ({ peer, why: reasonOf(peer) }));
  return {
    chosen: all.flatMap(({ peer, why }) => (why === null ? [peer] : [])),
    absent: new Map(all.flatMap(({ peer, why }): [PeerName, string][] => (why === null ? [] : [[peer.name, why]]))),
  };
};

export const SCRIPT_ALONE = choose((peer) => (peer === script ? null : '--quick leaves this peer out'));

/** The participants: a quick run has only the script, and ansible-pull needs many minutes for a thousand files. */
export function choosePeers({ isQuick, hasSlowPeers }: { isQuick: boolean; hasSlowPeers: boolean }): ChosenPeers {
  if (isQuick) return SCRIPT_ALONE;
  return choose((peer) =>
    peer === ansible && !hasSlowPeers ? 'it takes many minutes for each run; --slow has it take part' : null,
  );
}
