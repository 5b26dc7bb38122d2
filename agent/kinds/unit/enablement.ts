/** Whether a unit is enabled, whether that can be changed, and what to do if not: systemctl(1), is-enabled. Pure. */
import type { Desired, Mark, Reason } from '../../core/types.ts';
import type { UnitFact } from './diff.ts';
import type { UnitSpec } from './spec.ts';

/** States in which the unit itself is not started at boot. `indirect`: units named in its Also= may be. */
const OFF = ['', 'disabled', 'indirect', 'linked', 'linked-runtime', 'masked', 'masked-runtime', 'bad'];

/** A difference between the declared `enabled` and the unit's state. */
export function enabledReason({ spec, hash }: Desired<UnitSpec>, { file }: UnitFact, mark: Mark | undefined): Reason[] {
  const { enabled } = spec;
  // The units in its Also= were enabled when this declaration was applied; afterwards no other state is possible.
  const isOn = file === 'enabled' || (file === 'indirect' && mark?.hash === hash);
  if (enabled === true && !isOn) return [{ field: 'enabled', from: file || 'disabled', to: 'enabled' }];
  if (enabled === false && !isOff(spec, file)) return [{ field: 'enabled', from: file, to: 'disabled' }];
  return [];
}

/** One of our units without an [Install] section is started only by units that name it. */
export const isOff = ({ content }: UnitSpec, file: string): boolean =>
  OFF.includes(file) || (file === 'static' && content !== undefined);

interface Standing {
  /** The output of `systemctl is-enabled`, with the unit's files in place. */
  file: string;
  /** The real name, if the name is an alias; '' if that is unknown. */
  realName: string;
  /** The file from which a generator made it; '' if that is unknown. */
  source: string;
}

/** Why a unit in this state cannot be enabled or disabled, and what to do; null if it can. */
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

/** systemd accepted the request, but the state did not change. */
export const withoutEffect = ({ name, enabled }: UnitSpec, file: string): string =>
  file === 'enabled-runtime'
    ? `${name} is still enabled until the next boot, by links in /run; run \`systemctl disable --runtime ${name}\``
    : `${name} is ${file || 'not known'} after it was ${enabled ? 'enabled' : 'disabled'}; see \`systemctl cat ${name}\` and the links to it`;
