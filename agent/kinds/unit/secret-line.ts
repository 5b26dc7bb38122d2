/**
 * Secrets in unit files. systemd shows every local user the text of a loaded unit over D-Bus and `systemctl show`, whatever the
 * mode of its file (systemd.exec(5), "Environment="). Pure.
 */
import type { Issue } from '../../core/types.ts';

const HOW =
  'deliver the secret as a file in `files`, and read it with `LoadCredential=NAME:/path` (or `EnvironmentFile=/path`)';

/** @param line of a unit or drop-in that contains a secret @returns why it is a problem, or null */
export function secretLine(line: string): Pick<Issue, 'severity' | 'message'> | null {
  const directive = /^\s*([A-Za-z][A-Za-z0-9-]*)\s*=/.exec(line)?.[1];
  if (/^\s*([#;[]|$)/.test(line) || directive === 'SetCredentialEncrypted') return null;
  if (directive === 'SetCredential')
    return {
      severity: 'warning',
      message: `a secret is in \`SetCredential=\`, which local users can read over D-Bus as they can the rest of a unit; ${HOW}`,
    };
  return {
    severity: 'error',
    message: `a secret is in \`${directive === undefined ? 'a line of the unit' : `${directive}=`}\`, and systemd shows it to every local user (\`systemctl show\`); ${HOW}`,
  };
}
