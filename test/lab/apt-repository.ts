/** An APT repository as a release publishes it, served by nginx on a lab host, and hosts that use it. */
import { cpSync, rmSync } from 'node:fs';
import path from 'node:path';
import { publishApt } from '../../packaging/release/apt.ts';
import { openSigner } from '../../packaging/release/openpgp.ts';
import type { LabHost } from './lab.ts';
import { writeTrialKey } from './release-key.ts';

const NGINX = 'server {\n  listen 80 default_server;\n  root /srv/apt;\n}\n';
const KEYRING = '/etc/apt/keyrings/fairlead.asc';

export interface AptRepository {
  /** Adds a package and publishes the repository on the web server. */
  publish(deb: string): Promise<void>;
  /** Publishes a repository with this package that somebody signed with their own key. */
  forge(deb: string): Promise<void>;
  /** Publishes the repository again as it was last. */
  restore(): Promise<void>;
}

export interface AptRepositoryOptions {
  /** The web server: a host of the test's own. */
  on: LabHost;
  /** An empty directory on this machine. */
  dir: string;
}

/** Creates a key and starts the web server. */
export async function startAptRepository({ on, dir }: AptRepositoryOptions): Promise<AptRepository> {
  const at = (name: string) => path.join(dir, name);
  writeTrialKey({ file: at('key.asc') });
  writeTrialKey({ file: at('stranger.asc') });
  await on.write('/etc/nginx/sites-enabled/default', NGINX);
  await on.exec(['systemctl', 'restart', 'nginx']);
  const put = async (name: string) => {
    await on.exec(['rm', '-rf', '/srv/apt']);
    await on.copyIn(at(name), '/srv/apt');
  };
  const sign = (key: string, repository: string, deb: string) => {
    const signer = openSigner({ key: at(key) });
    try {
      publishApt({ repository: at(repository), debs: [deb], suite: 'stable', signer, isNewKey: true });
    } finally {
      signer.close();
    }
  };
  return {
    async publish(deb) {
      sign('key.asc', 'apt', deb);
      await put('apt');
    },
    async forge(deb) {
      rmSync(at('forged'), { recursive: true, force: true });
      cpSync(at('apt'), at('forged'), { recursive: true });
      sign('stranger.asc', 'forged', deb);
      await put('forged');
    },
    restore: () => put('apt'),
  };
}

/** Configures a host to use only this repository, as docs/install.md describes. */
export async function followRepository(host: LabHost, url: string): Promise<void> {
  await host.sh(`rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
    install -d -m 755 /etc/apt/keyrings
    curl -fsSo ${KEYRING} ${url}/fairlead.asc`);
  await host.write(
    '/etc/apt/sources.list.d/fairlead.sources',
    `Types: deb\nURIs: ${url}\nSuites: stable\nComponents: main\nSigned-By: ${KEYRING}\n`,
  );
}

/** `apt-get update`, which by default succeeds if it continues with the existing indexes. @returns the exit code */
export const updateIndexes = async (host: LabHost): Promise<number> =>
  (await host.exec(['apt-get', '-o', 'APT::Update::Error-Mode=any', 'update'], { check: false })).code;

/** The version that `apt install fairlead` would install. */
export async function candidateOn(host: LabHost): Promise<string> {
  const { stdout } = await host.exec(['apt-cache', 'policy', 'fairlead']);
  return /Candidate: (\S+)/.exec(stdout)?.[1] ?? '';
}
