/** Whether a unit is enabled, can be enabled or disabled, and what can be done where it cannot: systemctl(1), is-enabled. Pure. */
import type { Desired, Mark, Reason } from '../../core/types.ts';
import type { UnitFact } from './diff.ts';
import type { UnitSpec } from './spec.ts';

/** States in which nothing of the unit's own starts it at boot. `indirect`: others, named in its Also=, may. */
const OFF = ['', 'disabled', 'indirect', 'linked', 'linked-runtime', 'masked', 'masked-runtime', 'bad'];

/** A declared `enabled` that the unit's file does not have, or cannot have. */
export function enabledReason({ spec, hash }: Desired<UnitSpec>, { file }: UnitFact, mark: Mark | undefined): Reason[] {
  const { enabled } = spec;
  // What its Also= names was enabled when this declaration was applied; that leaves no other state.
  const isOn = file === 'enabled' || (file === 'indirect' && mark?.hash === hash);
  if (enabled === true && !isOn) return [{ field: 'enabled', from: file || 'disabled', to: 'enabled' }];
  if (enabled === false && !isOff(spec, file)) return [{ field: 'enabled', from: file, to: 'disabled' }];
  return [];
}

/** Its own unit without an [Install] section is started by nobody but who names it, as its text says. */
export const isOff = ({ content }: UnitSpec, file: string): boolean =>
  OFF.includes(file) || (file === 'static' && content !== undefined);

interface Standing {
  /** As `systemctl is-enabled` says, with the unit's files in place. */
  file: string;
  /** What it really is called, if the name is an alias; '' if that is not known. */
  realName: string;
  /** What a generator made it from; '' if that is not known. */
  source: string;
}

/** Why a unit in this state cannot be enabled or disabled, and what can be done; null if it can. */
export function whyNot({ name, enabled, content }: UnitSpec, { file, realName, source }: Standing): string | null {
  const verb = enabled ? 'enabled' : 'disabled';
  const no = `${name} cannot be ${verb}`;
  switch (file) {
    case 'alias':
      return `${no}: it is another name (an alias) of ${realName || 'another unit'}; declare \`enabled\` of that unit, and take it from this one`;
    case 'static':
      if (enabled)
        return `${no}: it has no [Install] section; add one with WantedBy=, or drop \`enabled\`, and say \`state: started\` if it is to run`;
      if (content !== undefined) return null;
      return `${no}: it is static, so what starts it is another unit (\`systemctl list-dependencies --reverse ${name}\` and its timer, socket or path); disable that one, or say \`masked: true\``;
    case 'generated':
      return `${no}: a generator makes it${source ? ` from ${source}` : ''}; ${generatedAdvice(name, source)}, and drop \`enabled\`, or say \`masked: true\``;
    case 'transient':
      return `${no}: a program made it for this boot alone; drop \`enabled\`, or bring the unit with \`content\``;
    case 'masked':
    case 'masked-runtime':
      if (!enabled) return null;
      return file === 'masked'
        ? `${no}: it is masked; say \`masked: false\` as well`
        : `${no}: it is masked until the next boot; run \`systemctl unmask --runtime ${name}\``;
    case 'bad':
      return `${no}: systemd cannot read its file; see \`systemctl status ${name}\``;
    default:
      return null;
  }
}

function generatedAdvice(name: string, source: string): string {
  if (/^\/(etc|usr\/share)\/containers\/systemd\//.test(source))
    return 'its [Install] section there says whether it starts at boot';
  if (source === '/etc/fstab') return 'the options `noauto` and `nofail` there say whether it is mounted at boot';
  if (source.startsWith('/etc/init.d/'))
    return `a job with \`update-rc.d ${name.replace(/\.service$/, '')} enable\` or \`disable\` changes that`;
  return 'change what it is made from';
}

/** It was asked for, the bus said yes, and nothing is different. */
export const withoutEffect = ({ name, enabled }: UnitSpec, file: string): string =>
  file === 'enabled-runtime'
    ? `${name} is still enabled until the next boot, by links in /run; run \`systemctl disable --runtime ${name}\``
    : `${name} is ${file || 'not known'} after it was ${enabled ? 'enabled' : 'disabled'}; see \`systemctl cat ${name}\` and the links to it`;
