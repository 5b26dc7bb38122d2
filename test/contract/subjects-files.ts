/** Files of every type, and manual changes of them. */
import type { Setup } from './setup.ts';

export const FILES: Record<string, Setup> = {
  'a file with content': {
    id: 'file:/etc/contract/app.conf',
    files: { 'a.yaml': 'files: {/etc/contract/app.conf: {content: "hello\\n", mode: "0640", owner: daemon}}\n' },
    changed: {
      files: { 'a.yaml': 'files: {/etc/contract/app.conf: {content: "bye\\n", mode: "0640", owner: daemon}}\n' },
      field: 'content',
    },
    exists: (host) => host.run('grep', '-qx', 'hello', '/etc/contract/app.conf'),
    drifts: (host) => [
      { what: 'edited', act: () => host.write('/etc/contract/app.conf', 'other\n', '0640'), field: 'content' },
      { what: 'chmodded', act: () => host.act('chmod', '0666', '/etc/contract/app.conf'), field: 'mode' },
      { what: 'chowned', act: () => host.act('chown', 'root', '/etc/contract/app.conf'), field: 'owner' },
      { what: 'deleted', act: () => host.act('rm', '/etc/contract/app.conf'), field: 'state' },
      {
        what: 'replaced by a link',
        act: () => host.act('ln', '-sf', '/etc/hostname', '/etc/contract/app.conf'),
        field: 'type',
      },
      { what: 'its directory moved away', act: () => host.act('mv', '/etc/contract', '/etc/away'), field: 'state' },
    ],
  },
  'a file from the repository': {
    id: 'file:/etc/contract-source/motd',
    files: { 'a.yaml': 'files: {/etc/contract-source/motd: {source: files/motd}}\n', 'files/motd': 'welcome\n' },
    changed: {
      files: {
        'a.yaml': 'files: {/etc/contract-source/motd: {source: files/motd, mode: "0600"}}\n',
        'files/motd': 'welcome\n',
      },
      field: 'mode',
    },
    exists: (host) => host.run('grep', '-qx', 'welcome', '/etc/contract-source/motd'),
    drifts: (host) => [
      { what: 'grown', act: () => host.append('/etc/contract-source/motd', 'more\n'), field: 'content' },
    ],
  },
  'a directory': {
    id: 'file:/srv/contract-dir',
    files: { 'a.yaml': 'files: {/srv/contract-dir/: {mode: "0750"}}\n' },
    changed: { files: { 'a.yaml': 'files: {/srv/contract-dir/: {mode: "0700"}}\n' }, field: 'mode' },
    exists: (host) => host.run('test', '-d', '/srv/contract-dir'),
    drifts: (host) => [
      { what: 'chmodded', act: () => host.act('chmod', '0777', '/srv/contract-dir'), field: 'mode' },
      { what: 'given away', act: () => host.act('chgrp', 'daemon', '/srv/contract-dir'), field: 'group' },
      { what: 'deleted', act: () => host.act('rmdir', '/srv/contract-dir'), field: 'state' },
    ],
  },
  'a link': {
    id: 'file:/srv/contract-link',
    files: { 'a.yaml': 'files: {/srv/contract-link: {link: /etc/hostname}}\n' },
    changed: { files: { 'a.yaml': 'files: {/srv/contract-link: {link: /etc/hosts}}\n' }, field: 'link' },
    exists: (host) => host.run('test', '/srv/contract-link', '-ef', '/etc/hostname'),
    drifts: (host) => [
      { what: 'bent', act: () => host.act('ln', '-sfn', '/etc/passwd', '/srv/contract-link'), field: 'link' },
      {
        what: 'replaced by a file',
        act: async () => {
          await host.act('rm', '/srv/contract-link');
          await host.write('/srv/contract-link', 'x\n');
        },
        field: 'type',
      },
    ],
  },
};
