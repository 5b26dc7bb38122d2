/** How a commit becomes the resources of this host: with its own variables, its identity for secrets, and its logins. */
import { hash } from 'node:crypto';
import { askDirectories, createLoader } from '../../engine/load/load.ts';
import type { EngineDeps } from '../../engine/types.ts';
import { KINDS } from '../../kinds/index.ts';
import { openSecrets } from '../../secrets/open.ts';
import { createCredentials } from '../../system/docker/registry-credentials.ts';
import { exec } from '../../system/exec.ts';
import { readHostFacts } from '../../system/facts.ts';
import type { Providers } from './machine.ts';
import type { SessionOptions } from './session-options.ts';

type Load = EngineDeps['load'];

export function loadOf(options: SessionOptions, providers: Providers): Load {
  const { config, identity, localVars, redactor, root, secrets } = options;
  const { registries } = config.docker;
  const load = createLoader({
    version: identity.version,
    host: config.host,
    fleet: config.fleet,
    labels: config.labels,
    facts: readHostFacts(),
    treeRoot: '/var/lib/fairlead/tree',
    sha256: (bytes) => hash('sha256', bytes),
    keyedHash: options.keyedHash,
    decrypt(files, dirs, commit) {
      // For a directory that is no commit, nothing says when it is no longer used.
      if (commit === '') return openSecrets(files, dirs, secrets.secretKey, redactor.add);
      redactor.addFor(commit, []);
      return openSecrets(files, dirs, secrets.secretKey, (secret) => redactor.addFor(commit, [secret]));
    },
    found(credentials, commit) {
      if (commit === '') for (const one of credentials) redactor.add(one);
      else redactor.addFor(commit, credentials);
    },
    logins: createCredentials({ registries, home: '/root', root, exec, secret: redactor.add }).config,
    localVars: localVars.current,
    directories: () => askDirectories(providers),
    kinds: KINDS,
    providers,
  });
  return options.leaving ? asIfLeaving(load) : load;
}

/** As if host.yaml said `decommission: true`. */
const asIfLeaving =
  (load: Load): Load =>
  async (checkout) => {
    const loaded = await load(checkout);
    return { ...loaded, host: { ...loaded.host, decommission: true } };
  };
