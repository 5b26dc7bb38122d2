/** Whether the version of the agent that the head wants is put in place now. Pure. */
import type { UpgradeResult } from '../../core/agent-upgrade.ts';
import type { PackageFormat, WantedAgent } from '../../core/agent-wanted.ts';
import type { Gate, Problem } from '../../core/types.ts';

export interface UpgradeSituation {
  wanted: WantedAgent;
  /** Of the agent that runs. */
  version: string;
  /** Of the package; null where the file is not in the repository. */
  sha256: string | null;
  /** This very package failed here before. */
  failed: UpgradeResult | null;
  /** Which packages this host takes. */
  format: PackageFormat | null;
  /** A closed window, or work that is under way. */
  gate: Gate | null;
  /** A person asks for another try. */
  force: boolean;
}

export type UpgradeChoice =
  | { act: 'none' }
  /** The commit goes on without it. */
  | { act: 'go on'; problem: Problem }
  /** The commit waits, too. */
  | { act: 'wait'; gate: Gate }
  | { act: 'upgrade'; sha256: string };

export function chooseUpgrade(given: UpgradeSituation): UpgradeChoice {
  const { wanted, version, sha256, failed, format, gate, force } = given;
  // What is wrong with the repository is said by the loader.
  const isMissing = sha256 === null || (wanted.sha256 !== null && wanted.sha256 !== sha256);
  if (wanted.version === version || isMissing) return { act: 'none' };
  if (failed !== null && !force) return { act: 'go on', problem: failedProblem(wanted, failed) };
  if (format === null)
    return unfit(wanted, 'fairlead was installed here by no package; upgrade it as it was installed');
  if (format !== wanted.format)
    return unfit(wanted, `fairlead was installed here as ${NAMES[format]}, and the package is ${NAMES[wanted.format]}`);
  return gate === null ? { act: 'upgrade', sha256 } : { act: 'wait', gate };
}

const NAMES: Readonly<Record<PackageFormat, string>> = { deb: 'a .deb', rpm: 'an .rpm', tarball: 'a tarball' };

const unfit = (wanted: WantedAgent, why: string): UpgradeChoice => ({
  act: 'go on',
  problem: upgradeProblem(wanted, 'AgentUpgradeUnfit', `this host does not get fairlead ${wanted.version}: ${why}`),
});

export const upgradeProblem = (
  { version, origin }: WantedAgent,
  reason: Problem['reason'],
  message: string,
): Problem => ({ id: `agent:${version}`, reason, message, file: origin.file, line: origin.line });

function failedProblem(wanted: WantedAgent, { from, message: why }: UpgradeResult): Problem {
  return upgradeProblem(
    wanted,
    'AgentUpgradeFailed',
    `fairlead ${wanted.version} was tried and not kept: ${why}; ${from} goes on. Name another version, or run \`fairlead sync --force\``,
  );
}
