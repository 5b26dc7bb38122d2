/** Units of systemd, and manual changes of them. */
import type { Subject } from './contract.ts';
import type { Hands } from './hands.ts';
import type { Setup } from './setup.ts';

const unit = (word: string) =>
  `units:\n  contract.service:\n    content: |\n      [Service]\n      ExecStart=/bin/sleep infinity\n      Environment=WORD=${word}\n      [Install]\n      WantedBy=multi-user.target\n    enabled: true\n    state: started\n`;
const noBus = (host: Hands): NonNullable<Subject['outage']> => ({
  begin: () => host.act('systemctl', 'stop', 'dbus.socket', 'dbus.service'),
  end: () => host.act('systemctl', 'start', 'dbus.socket', 'dbus.service'),
});

export const UNITS: Record<string, Setup> = {
  'a unit with its file': {
    id: 'unit:contract.service',
    files: { 'a.yaml': unit('one') },
    changed: { files: { 'a.yaml': unit('two') }, field: 'content' },
    exists: async (host) =>
      (await host.run('systemctl', 'is-active', 'contract.service')) &&
      (await host.run('systemctl', 'is-enabled', 'contract.service')),
    drifts: (host) => [
      { what: 'stopped', act: () => host.act('systemctl', 'stop', 'contract.service'), field: 'state' },
      { what: 'disabled', act: () => host.act('systemctl', 'disable', 'contract.service'), field: 'enabled' },
      {
        what: 'edited',
        act: async () => {
          await host.append('/etc/systemd/system/contract.service', '# mine\n');
          await host.act('systemctl', 'daemon-reload');
        },
        field: 'content',
      },
      {
        what: 'killed',
        // systemctl sends the signal and returns; systemd notices the end of the process a moment later.
        act: async () => {
          await host.act('systemctl', 'kill', '-s', 'KILL', 'contract.service');
          await host.until(
            'systemd to notice that its process is gone',
            30_000,
            async () => !(await host.run('systemctl', 'is-active', 'contract.service')),
          );
        },
        field: 'state',
      },
    ],
    outage: noBus,
  },
  'a timer': {
    id: 'unit:contract.timer',
    files: {
      'a.yaml':
        'units:\n  contract-job.service: {content: "[Service]\\nType=oneshot\\nExecStart=/bin/true\\n"}\n  contract.timer:\n    content: "[Timer]\\nOnCalendar=hourly\\nUnit=contract-job.service\\n[Install]\\nWantedBy=timers.target\\n"\n    enabled: true\n    state: started\n    after: [unit:contract-job.service]\n',
    },
    changed: {
      files: {
        'a.yaml':
          'units:\n  contract-job.service: {content: "[Service]\\nType=oneshot\\nExecStart=/bin/true\\n"}\n  contract.timer:\n    content: "[Timer]\\nOnCalendar=daily\\nUnit=contract-job.service\\n[Install]\\nWantedBy=timers.target\\n"\n    enabled: true\n    state: started\n    after: [unit:contract-job.service]\n',
      },
      field: 'content',
    },
    exists: (host) => host.run('systemctl', 'is-active', 'contract.timer'),
    drifts: (host) => [{ what: 'stopped', act: () => host.act('systemctl', 'stop', 'contract.timer'), field: 'state' }],
  },
  'a drop-in for a unit that may come later': {
    id: 'unit:later.service',
    files: {
      'a.yaml': 'units: {later.service: {dropins: {10-a.conf: {content: "[Service]\\nNice=3\\n"}}}}\n',
    },
    changed: {
      files: {
        'a.yaml': 'units: {later.service: {dropins: {10-a.conf: {content: "[Service]\\nNice=4\\n"}}}}\n',
      },
      field: 'dropins.10-a.conf',
    },
    exists: (host) => host.run('test', '-e', '/etc/systemd/system/later.service.d/10-a.conf'),
    drifts: (host) => [
      {
        what: 'edited',
        act: () => host.append('/etc/systemd/system/later.service.d/10-a.conf', 'Nice=5\n'),
        field: 'dropins.10-a.conf',
      },
      {
        what: 'deleted',
        act: () => host.act('rm', '/etc/systemd/system/later.service.d/10-a.conf'),
        field: 'dropins.10-a.conf',
      },
    ],
  },
  'the state of a unit that is not ours': {
    id: 'unit:foreign.service',
    before: async (host) => {
      await host.write(
        '/etc/systemd/system/foreign.service',
        '[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n',
      );
      await host.act('systemctl', 'daemon-reload');
    },
    files: { 'a.yaml': 'units: {foreign.service: {state: started, enabled: false}}\n' },
    changed: { files: { 'a.yaml': 'units: {foreign.service: {state: started, enabled: true}}\n' }, field: 'enabled' },
    exists: (host) => host.run('systemctl', 'is-active', 'foreign.service'),
    drifts: (host) => [
      { what: 'stopped', act: () => host.act('systemctl', 'stop', 'foreign.service'), field: 'state' },
    ],
    stays: true,
  },
};
