/** The short form of a mount, as Compose reads it. Pure. */
export interface Mount {
  type: 'bind' | 'volume';
  source: string;
  target: string;
  readOnly: boolean;
  nocopy: boolean;
  propagation: string;
  selinux: string;
  /** Written so short that Compose adds no options. */
  bare: boolean;
}

export class MountError extends Error {}

const PROPAGATION = ['rprivate', 'private', 'rshared', 'shared', 'rslave', 'slave'];

/** `[SOURCE:]TARGET[:OPTION,…]`. @throws MountError */
export function parseMount(spec: string): Mount {
  const mount: Mount = {
    type: 'volume',
    source: '',
    target: '',
    readOnly: false,
    nocopy: false,
    propagation: '',
    selinux: '',
    bare: false,
  };
  if (spec === '') throw new MountError('an empty text is no mount');
  if (spec.length <= 2) return { ...mount, target: spec, bare: true };
  const parts = split(spec);
  if (parts.some((part) => part === '')) throw new MountError('there is nothing between two colons');
  if (parts.length > 3) throw new MountError('it has more than two colons; use the long form');
  if (parts.length === 1) mount.target = parts[0] ?? '';
  else [mount.source = '', mount.target = ''] = parts;
  for (const option of parts[2]?.split(',') ?? []) {
    if (option === 'ro') mount.readOnly = true;
    else if (option === 'rw') mount.readOnly = false;
    else if (option === 'nocopy') mount.nocopy = true;
    else if (PROPAGATION.includes(option)) mount.propagation = option;
    else if (option === 'z' || option === 'Z') mount.selinux = option;
  }
  mount.type = isPath(mount.source) ? 'bind' : 'volume';
  return mount;
}

/** At colons, but not at that of `C:`. */
function split(spec: string): string[] {
  const parts: string[] = [];
  let part = '';
  for (const char of spec) {
    if (char === ':' && !/^\p{L}$/u.test(part)) {
      parts.push(part);
      part = '';
    } else part += char;
  }
  return [...parts, part];
}

const isPath = (source: string): boolean =>
  /^[./~]/.test(source) || source.startsWith('\\\\') || /^\p{L}:/u.test(source);
