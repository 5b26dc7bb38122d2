/**
 * Credentials for pulling images: `docker.registries` of agent.yaml, or those that `docker login` left in root's
 * config.json, including credential helpers (https://docs.docker.com/reference/cli/docker/login/#credential-stores). Read at
 * each use.
 */
import { canonicalHost, pathBehind } from '../../core/names/image-name.ts';
import { AgentError } from '../../errors.ts';
import { readNamed, type Unread } from '../../reading.ts';
import type { Exec } from '../exec.ts';

/** The form in which the engine takes credentials (AuthConfig of its API). */
export interface RegistryAuth {
  username: string;
  password: string;
  /** Instead of a password: a token that was given for one. */
  identitytoken?: string;
  serveraddress: string;
}

export interface Credential {
  auth: RegistryAuth;
  /** User and place of the credentials for messages; never the secret. */
  source: string;
}

export interface Credentials {
  /**
   * @param registry as `canonicalHost` writes it
   * @param repository what follows it in the image's name: of several entries the one with the longest path counts
   * Throws AgentError where one is configured and cannot be read.
   */
  of(registry: string, repository?: string): Promise<Credential | null>;
  /** All of them, as a client's config.json has them. Throws AgentError where one cannot be read. */
  config(): Promise<string>;
  /** Places that were searched, for messages. */
  places(registry: string): string;
}

export interface CredentialsOptions {
  /** Registry, as a person wrote it → credentials. */
  registries: Readonly<Record<string, { username: string; passwordFile: string }>>;
  /** Home of the user whose `docker login` counts. */
  home: string;
  /** Before every path: '' for this machine. */
  root: string;
  exec: Exec;
  /** Called with every secret before it is used. */
  secret(secret: string): void;
}

interface DockerConfig {
  auths?: Record<string, { auth?: string; username?: string; password?: string; identitytoken?: string }>;
  credsStore?: string;
  credHelpers?: Record<string, string>;
}

/** A path is within another by whole parts: `acme/shop` is within `acme`, `acmex` is not. */
const isWithin = (repository: string, path: string): boolean =>
  path === '' || repository === path || repository.startsWith(`${path}/`);

const HELPER_MS = 30_000;
const isHelper = (name: string): boolean => /^[A-Za-z0-9._-]+$/.test(name);
/** The name under which `docker login` keeps Docker Hub. */
const HUB_SERVER = 'https://index.docker.io/v1/';

export function createCredentials(options: CredentialsOptions): Credentials {
  const { registries, home, root, exec, secret } = options;
  const file = `${home}/.docker/config.json`;
  const serverOf = (registry: string) => (registry === 'docker.io' ? HUB_SERVER : registry);
  const find = <T>(entries: Readonly<Record<string, T>> | undefined, registry: string): T | undefined =>
    Object.entries(entries ?? {}).find(([written]) => canonicalHost(written) === registry)?.[1];
  const known = (auth: RegistryAuth, source: string): Credential => {
    for (const part of [auth.password, auth.identitytoken]) if (part) secret(part);
    return { auth, source };
  };

  async function configured(registry: string, repository: string): Promise<Credential | null> {
    const [, entry] =
      Object.entries(registries)
        .filter(([written]) => canonicalHost(written) === registry && isWithin(repository, pathBehind(written)))
        .sort(([a], [b]) => pathBehind(b).length - pathBehind(a).length)[0] ?? [];
    if (entry === undefined) return null;
    const { username, passwordFile } = entry;
    const password = await readNamed(root + passwordFile).then(String, (thrown: Error) => {
      throw unreadable(
        `${passwordFile} (docker.registries of agent.yaml, ${registry}) cannot be read: ${thrown.message}`,
      );
    });
    const auth = { username, password: password.replace(/\r?\n$/, ''), serveraddress: serverOf(registry) };
    return known(auth, `user ${username} with the password in ${passwordFile} (docker.registries of agent.yaml)`);
  }

  async function readConfig(): Promise<DockerConfig> {
    const text = await readNamed(root + file).then(String, (thrown: Unread) => {
      if (['ENOENT', 'ENOTDIR'].includes(thrown.code ?? '')) return '{}';
      throw unreadable(`${file} cannot be read: ${thrown.message}`);
    });
    try {
      return JSON.parse(text) as DockerConfig;
    } catch {
      // The parser's own message would quote the file.
      throw unreadable(`${file} is not valid JSON; fix it, or write it again with \`docker login\``);
    }
  }

  async function helped(config: DockerConfig, registry: string): Promise<Credential | null> {
    const name = find(config.credHelpers, registry) ?? config.credsStore;
    if (!name) return null;
    const program = `docker-credential-${name}`;
    if (!isHelper(name)) throw unreadable(`${file} names a credential helper that is no program's name`);
    const run = await exec([program, 'get'], {
      input: serverOf(registry),
      timeoutMs: HELPER_MS,
      env: { HOME: home },
    });
    // A helper that fails says why on its standard output; it knows of no other failure than "not found" by words.
    if (run.code !== 0 && /credentials not found/i.test(run.stdout)) return null;
    const found = run.code === 0 ? parsed(run.stdout) : null;
    if (found === null) {
      const why = run.code === 0 ? 'its answer is no credential' : `exit code ${run.code}: ${saidBy(run)}`;
      throw unreadable(`${program} (named in ${file}) could not say who pulls from ${registry}: ${why}`);
    }
    const { Username: username, Secret: password } = found;
    const source = `${username === '<token>' ? 'a token' : `user ${username}`} from ${program} (named in ${file})`;
    const serveraddress = serverOf(registry);
    return username === '<token>'
      ? known({ username: '', password: '', identitytoken: password, serveraddress }, source)
      : known({ username, password, serveraddress }, source);
  }

  function written(config: DockerConfig, registry: string): Credential | null {
    const entry = find(config.auths, registry);
    if (entry === undefined) return null;
    const plain = Buffer.from(entry.auth ?? '', 'base64')
      .toString('utf8')
      .replace(/\0+$/, '');
    const at = plain.indexOf(':');
    const [username, password] =
      at === -1 ? [entry.username ?? '', entry.password ?? ''] : [plain.slice(0, at), plain.slice(at + 1)];
    const serveraddress = serverOf(registry);
    if (entry.identitytoken)
      return known(
        { username, password: '', identitytoken: entry.identitytoken, serveraddress },
        `the token of user ${username || '(none)'} in ${file}`,
      );
    return username === '' ? null : known({ username, password, serveraddress }, `user ${username} of ${file}`);
  }

  async function of(registry: string, repository = ''): Promise<Credential | null> {
    const own = await configured(registry, repository);
    if (own !== null) return own;
    const config = await readConfig();
    return (await helped(config, registry)) ?? written(config, registry);
  }

  /** Registries of which the store of credentials knows. */
  async function stored({ credsStore: name }: DockerConfig): Promise<string[]> {
    if (!name) return [];
    if (!isHelper(name)) throw unreadable(`${file} names a credential helper that is no program's name`);
    const run = await exec([`docker-credential-${name}`, 'list'], { timeoutMs: HELPER_MS, env: { HOME: home } });
    try {
      if (run.code === 0) return Object.keys(JSON.parse(run.stdout) as object);
    } catch {
      throw unreadable(`docker-credential-${name} (named in ${file}) answered with no list`);
    }
    throw unreadable(
      `docker-credential-${name} (named in ${file}) could not list: exit code ${run.code}: ${saidBy(run)}`,
    );
  }

  return {
    of,
    async config() {
      const config = await readConfig();
      const written = [registries, config.auths, config.credHelpers].flatMap((entries) => Object.keys(entries ?? {}));
      const names = new Set([...written, ...(await stored(config))].map(canonicalHost));
      const auths: Record<string, { auth: string; identitytoken?: string }> = {};
      for (const registry of [...names].sort()) {
        const found = await of(registry);
        if (found === null) continue;
        const { username, password, identitytoken, serveraddress } = found.auth;
        const auth = username === '' ? '' : Buffer.from(`${username}:${password}`).toString('base64');
        if (auth !== '') secret(auth);
        auths[serveraddress] = { auth, ...(identitytoken ? { identitytoken } : {}) };
      }
      return JSON.stringify({ auths });
    },
    places: (registry) => `no credential for ${registry} in docker.registries of agent.yaml, nor in ${file}`,
  };
}

function parsed(text: string): { Username: string; Secret: string } | null {
  try {
    const { Username, Secret } = JSON.parse(text) as { Username?: unknown; Secret?: unknown };
    return typeof Username === 'string' && typeof Secret === 'string' ? { Username, Secret } : null;
  } catch {
    return null;
  }
}

/** Error output of a failed program, in one line. */
const saidBy = ({ stdout, stderr }: { stdout: string; stderr: string }): string =>
  `${stdout} ${stderr}`.trim().replaceAll(/\s+/g, ' ').slice(0, 200) || 'it said nothing';
const unreadable = (message: string) => new AgentError({ code: 'ImagePullFailed', phase: 'prepare', message });
