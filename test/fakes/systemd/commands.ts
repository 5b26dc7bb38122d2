/** Programs of the host for units: journalctl, systemd-analyze verify, systemctl. */
import fs from 'node:fs';
import type { Exec, ExecResult } from '../../../agent/system/exec.ts';
import type { FakeSystemd } from './systemd.ts';
import { argvOf, parse, valuesOf } from './unit-file.ts';

const DONE: ExecResult = { code: 0, stdout: '', stderr: '' };
/** Keys that are known here; systemd knows more. */
const KEYS: Record<string, readonly string[]> = {
  Unit: ['Description', 'After', 'Before', 'Requires', 'Wants', 'ConditionPathExists', 'Documentation', 'PartOf'],
  Service: [
    ...['Type', 'ExecStart', 'ExecStop', 'ExecReload', 'ExecStartPre', 'Restart', 'RestartSec', 'RemainAfterExit'],
    ...['Environment', 'EnvironmentFile', 'User', 'Group', 'WorkingDirectory', 'Nice', 'TimeoutStartSec'],
  ],
  Install: ['WantedBy', 'RequiredBy', 'UpheldBy', 'Alias', 'Also'],
  Timer: ['OnCalendar', 'OnBootSec', 'OnUnitActiveSec', 'Unit', 'Persistent'],
  Socket: ['ListenStream', 'ListenDatagram', 'Accept', 'Service'],
  Mount: ['What', 'Where', 'Type', 'Options'],
  Path: ['PathExists', 'PathChanged', 'Unit'],
};

/** @param programs the host's programs, besides busybox and the like */
export function createCommands(root: string, fake: FakeSystemd, programs: ReadonlySet<string> = new Set()): Exec {
  return async (argv) => {
    const [name = ''] = argv;
    const words = name === 'env' ? argv.slice(argv.findIndex((w, i) => i > 0 && !w.includes('='))) : argv;
    if (words[0] === 'systemd-analyze' && words[1] === 'condition') {
      const asked = words.find((word) => word.startsWith('--unit='))?.slice('--unit='.length) ?? '';
      return { ...DONE, code: fake.conditionsHold(asked) ? 0 : 1 };
    }
    if (words[0] === 'systemd-analyze') {
      const files = words.filter((word) => word.startsWith('/'));
      const stderr = files.flatMap((file) => complaints(root, file, programs)).join('\n');
      return { ...DONE, stderr, code: stderr === '' ? 0 : 1 };
    }
    const [, unit = ''] = / -u (\S+)/.exec(words.join(' ')) ?? [];
    if (words[0] === 'journalctl' && unit !== '') return { ...DONE, stdout: fake.unit(unit).log.slice(-8).join('\n') };
    return DONE;
  };
}

/** With the messages of systemd-analyze(1). */
function complaints(root: string, file: string, programs: ReadonlySet<string>): string[] {
  const name = file.slice(file.lastIndexOf('/') + 1);
  const text = fs.readFileSync(root + file, 'utf8');
  const said: string[] = [];
  let section = '';
  for (const [i, line] of text.split('\n').entries()) {
    section = /^\[(.+)\]$/.exec(line.trim())?.[1] ?? section;
    const key = /^([A-Za-z]+)\s*=/.exec(line.trim())?.[1];
    if (key !== undefined && KEYS[section]?.includes(key) === false)
      said.push(`${file}:${i + 1}: Unknown key '${key}' in section [${section}], ignoring.`);
  }
  if (!name.endsWith('.service')) return said;
  const commands = valuesOf(parse(text), 'Service', 'ExecStart');
  if (commands.length === 0)
    return [...said, `${name}: Service has no ExecStart=, ExecStop=, or SuccessAction=. Refusing.`];
  for (const [program = ''] of commands.map(argvOf))
    if (!/^(\/usr)?\/bin\//.test(program) && !programs.has(program) && !fs.existsSync(root + program))
      said.push(`${name}: Command ${program} is not executable: No such file or directory`);
  return said;
}
