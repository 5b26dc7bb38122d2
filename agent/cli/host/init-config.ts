/** agent.yaml as `fairlead init` writes it, and what is refused before it is written. */
import { stringify } from 'yaml';
import { BROKER_URL } from '../../../manifests-schema/plain-credentials.ts';
import { parseSshUrl } from '../../git/wire/ssh.ts';

export interface InitSettings {
  url: string;
  host?: string;
  ref?: string;
  path?: string;
  broker?: string;
  username?: string;
  passwordFile?: string;
  /** Path of the deploy key, used if the repository is read over ssh. */
  sshKeyFile: string;
}

const isSsh = (url: string): boolean =>
  !url.startsWith('/') && !/^(?!ssh:)\w+:\/\//.test(url) && parseSshUrl(url) !== null;

/** @returns YAML */
export function configText({ url, host, ref, path, broker, username, passwordFile, sshKeyFile }: InitSettings): string {
  const auth = isSsh(url) ? { auth: { sshKeyFile } } : {};
  const document = {
    ...(host ? { host } : {}),
    repo: { url, ...(ref ? { ref } : {}), ...(path ? { path } : {}), ...auth },
    ...(broker
      ? { mqtt: { url: broker, ...(username ? { username } : {}), ...(passwordFile ? { passwordFile } : {}) } }
      : {}),
  };
  return `# man agent.yaml has every key.\n${stringify(document)}`;
}

/** ssh trusts no server that it does not know: ssh-keyscan(1). */
export function hostKeyHint(url: string): string[] {
  const address = isSsh(url) ? parseSshUrl(url) : null;
  if (address === null) return [];
  const port = address.port === null ? '' : `-p ${address.port} `;
  return [
    `hosts ssh-keyscan ${port}${address.host} >> /root/.ssh/known_hosts`,
    '      compare what that adds with what the owner of the server says: no other server is believed',
  ];
}

/** Why fairlead cannot read a repository from there; null if nothing speaks against it. */
export function whyNoUrl(url: string): string | null {
  const isWeb = /^https?:\/\//.test(url);
  const parsed = isWeb ? URL.parse(url) : null;
  if (parsed?.username || parsed?.password)
    return 'the url must not carry a user or a password, which agent.yaml would show; put the password into a file and name that in repo.auth (man agent.yaml)';
  const isKnown = isWeb ? parsed !== null : isSsh(url) || /^(file:\/\/)?\//.test(url);
  return isKnown
    ? null
    : `${url} is no address of a repository; give one such as https://git.example.com/fleet.git, git@git.example.com:fleet.git or /srv/git/fleet.git`;
}

/** Why it is no address of a broker; null if it is one. */
export function whyNoBroker(url: string): string | null {
  const parsed = URL.parse(url);
  if (parsed?.username || parsed?.password)
    return 'the address of the broker must not carry a user or a password, which agent.yaml would show; use --username and --password-file';
  return parsed !== null && BROKER_URL.test(url)
    ? null
    : `${url} is no address of a broker; give one such as mqtts://broker.example.com:8883 or wss://broker.example.com/mqtt`;
}
