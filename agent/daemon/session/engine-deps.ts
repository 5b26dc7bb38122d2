/** Dependencies of the engine on this host: the repository, the kinds, the state, and objects that outlive a run. */
import type { BackgroundWork, EngineDeps } from '../../engine/types.ts';
import type { SourceOptions } from '../../git/access.ts';
import { KINDS } from '../../kinds/index.ts';
import { programDir } from '../../layout.ts';
import { createSnapshots } from '../../store/snapshots.ts';
import { systemClock } from '../../system/clock.ts';
import { exec } from '../../system/exec.ts';
import { processStart } from '../../system/proc/process-start.ts';
import { createUpgrader, type Upgrader } from '../../upgrade/upgrader.ts';
import { endpointsOf } from './connectivity-probes.ts';
import { loadOf } from './loading.ts';
import type { Providers } from './machine.ts';
import type { SessionOptions } from './session-options.ts';

/** Access to the repository of agent.yaml. */
export function repositoryOf({ config, configFile, stateDir, log }: SessionOptions): SourceOptions {
  const { verify, ...repo } = config.repo;
  return {
    ...repo,
    gitdir: `${stateDir}/repo.git`,
    env: process.env,
    exec,
    log,
    ...(verify ? { verify: { ...verify, namedIn: configFile } } : {}),
  };
}

/** @returns null if systemd does not run this program, so that nobody would start another version */
export function upgraderOf({ supervised, root, identity, stateDir, config, log }: SessionOptions): Upgrader | null {
  if (supervised !== true || root !== '') return null;
  return createUpgrader({
    version: identity.version,
    programDir: programDir(),
    stateDir,
    repo: config.repo,
    env: process.env,
    exec,
    log,
  });
}

/** Objects from other parts of the session. */
export interface SessionParts extends Required<Pick<EngineDeps, 'source' | 'backoff' | 'clockDoubt'>> {
  providers: Providers;
  upgrade: Upgrader | null;
  background: BackgroundWork;
}

export function engineDepsOf(options: SessionOptions, { upgrade, ...parts }: SessionParts): EngineDeps {
  const { config, localVars, redactor, store, stateDir, log } = options;
  return {
    ...parts,
    endpoints: endpointsOf(repositoryOf(options), config),
    load: loadOf(options, parts.providers),
    localVars: localVars.current,
    redact: redactor.deep,
    kinds: KINDS,
    store,
    stateDir,
    snapshots: createSnapshots(`${stateDir}/accepted`),
    clock: systemClock,
    log,
    ...(upgrade === null ? {} : { upgrade }),
    isAlive: ({ pid, start }) => processStart(pid) === start,
  };
}
