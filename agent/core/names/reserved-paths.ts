/** Paths that belong to fairlead and that no declaration may use. */

/**
 * Directories in which systemd looks for unit files and drop-ins (systemd.unit(5)), with those of generators and transient
 * units.
 */
const UNIT_DIRS: readonly string[] = [
  ...['system', 'system.control', 'system.attached'].flatMap((dir) => [`/etc/systemd/${dir}`, `/run/systemd/${dir}`]),
  ...['transient', 'generator', 'generator.early', 'generator.late'].map((dir) => `/run/systemd/${dir}`),
  ...['/usr/local/lib/systemd/system', '/usr/lib/systemd/system', '/lib/systemd/system'],
];
/** Drop-ins for every service, fairlead's included. */
const EVERY_SERVICE = 'service.d';
const OWN_UNIT: readonly string[] = ['fairlead.service', 'fairlead-upgrade.service'].flatMap((unit) =>
  ['', '.d', '.wants', '.requires', '.upholds'].map((end) => `${unit}${end}`),
);

/** Config, state, sockets, program (and its predecessor during an upgrade), unit files. */
export const OWN_PATHS: readonly string[] = [
  '/etc/fairlead',
  '/var/lib/fairlead',
  '/run/fairlead',
  '/var/run/fairlead',
  ...['', '.before', '.previous', '.failed', '.rejected'].map((end) => `/usr/lib/fairlead${end}`),
  '/usr/bin/fairlead',
  '/usr/local/bin/fairlead',
  ...UNIT_DIRS.flatMap((dir) => [...OWN_UNIT, EVERY_SERVICE].map((name) => `${dir}/${name}`)),
];

/** Directories of the state in which fairlead stores what it manages for others; only their literal paths may be used. */
export const OWN_STORES: readonly string[] = [
  ...['tree', 'secrets', 'staging', 'originals'].map((name) => `/var/lib/fairlead/${name}`),
  '/run/fairlead/staging',
];

/** Whether `path` is `parent` or lies below it. */
export const isWithin = (path: string, parent: string): boolean => path === parent || path.startsWith(`${parent}/`);

/** Holds the files that stacks mount by relative path. */
const TREE = '/var/lib/fairlead/tree';

/** Decides by name alone and ignores case; links and mounts are resolved when the path is walked. */
export const isOwn = (path: string): boolean => OWN_PATHS.some((own) => isWithin(path.toLowerCase(), own));

/** @returns why fairlead will not manage this path, or null */
export function pathProblem(path: string): string | null {
  if (!path.startsWith('/') || path === '/') return 'must be an absolute path';
  const parts = path.split('/').slice(1);
  if (parts.some((part) => part === '' || part === '.' || part === '..'))
    return 'must be a plain path without //, . or ..';
  if (/[\0\n]/.test(path)) return 'must not contain a NUL character or a line break';
  if (!isOwn(path)) return null;
  const reaches = parts.includes(EVERY_SERVICE)
    ? "reaches every service, fairlead's own among them,"
    : "is fairlead's own";
  return `${reaches} and cannot be managed`;
}

/** @param path absolute, on the host @returns why no container may mount it, or null */
export function mountProblem(path: string): string | null {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  const plain = `/${parts.join('/')}`;
  return isOwn(plain) && !isWithin(plain, TREE) ? "is fairlead's own and cannot be mounted" : null;
}
