/** Whether the agent version that the head wants is installed now. Pure. */

import type { Gate, Problem } from '../../core/types.ts';
import type { UpgradeResult } from '../../core/version/agent-upgrade.ts';
import type { PackageFormat, WantedAgent } from '../../core/version/agent-wanted.ts';

export interface UpgradeSituation {
  wanted: WantedAgent;
  /** Version of the agent that runs. */
  version: string;
  /** Digest of the package; null if the file is not in the repository. */
  sha256: string | null;
  /** The earlier failure of this very package on this host, if there was one. */
  failed: UpgradeResult | null;
  /** The package format that this host can install. */
  format: PackageFormat | null;
  /** A closed window, or work in progress. */
  gate: Gate | null;
  /** A person asked for another try. */
  force: boolean;
}

export type UpgradeChoice =
  | { act: 'none' }
  /** The commit is applied without the upgrade. */
  | { act: 'keep'; problem: Problem }
  /** The commit waits as well. */
  | { act: 'wait'; gate: Gate }
  | { act: 'upgrade'; sha256: string };

export function chooseUpgrade(given: UpgradeSituation): UpgradeChoice {
  const { wanted, version, sha256, failed, format, gate, force } = given;
  // The loader reports what is wrong in the repository.
  const isMissing = sha256 === null || (wanted.sha256 !== null && wanted.sha256 !== sha256);
  if (wanted.version === version || isMissing) return { act: 'none' };
  if (failed !== null && !force) return { act: 'keep', problem: failedProblem(wanted, failed) };
  if (format === null)
    return unfit(wanted, 'fairlead was installed by no package on this host; upgrade it in the way it was installed');
  if (format !== wanted.format)
    return unfit(wanted, `fairlead was installed here as ${NAMES[format]}, and the package is ${NAMES[wanted.format]}`);
  return gate === null ? { act: 'upgrade', sha256 } : { act: 'wait', gate };
}

const NAMES: Readonly<Record<PackageFormat, string>> = { deb: 'a .deb', rpm: 'an .rpm', tarball: 'a tarball' };

const unfit = (wanted: WantedAgent, why: string): UpgradeChoice => ({
  act: 'keep',
  problem: upgradeProblem(wanted, 'AgentUpgradeUnfit', `this host cannot install fairlead ${wanted.version}: ${why}`),
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
    `fairlead ${wanted.version} failed and was rolled back: ${why}; ${from} runs again. Name another version, or run \`fairlead sync --force\``,
  );
}
