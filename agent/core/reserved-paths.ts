/** What is fairlead's own and out of reach of every declaration. */

/** Config, state, sockets, program, unit file. */
export const OWN_PATHS: readonly string[] = [
  '/etc/fairlead',
  '/var/lib/fairlead',
  '/run/fairlead',
  '/var/run/fairlead',
  '/usr/lib/fairlead',
  '/usr/bin/fairlead',
  '/usr/local/bin/fairlead',
  '/etc/systemd/system/fairlead.service',
  '/etc/systemd/system/fairlead.service.d',
  '/usr/lib/systemd/system/fairlead.service',
  '/lib/systemd/system/fairlead.service',
];

/** Directories of the state in which fairlead itself keeps what it manages for others, by their literal paths only. */
export const OWN_STORES: readonly string[] = [
  ...['tree', 'secrets', 'staging', 'originals'].map((name) => `/var/lib/fairlead/${name}`),
  '/run/fairlead/staging',
];

/** Whether `path` is `parent` or lies below it. */
export const isWithin = (path: string, parent: string): boolean => path === parent || path.startsWith(`${parent}/`);

/** By name alone, whatever the case; links and mounts are seen through when the path is walked. */
export const isOwn = (path: string): boolean => OWN_PATHS.some((own) => isWithin(path.toLowerCase(), own));
