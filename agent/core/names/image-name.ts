/** Names of images, as the Docker engine understands them (distribution/reference). Pure. */

const ALNUM = '[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?';
const DOMAIN = `(?:${ALNUM}(?:\\.${ALNUM})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?`;
const COMPONENT = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
const DIGEST = '[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}';
const REFERENCE = new RegExp(`^(?:${DOMAIN}/)?${COMPONENT}(?:/${COMPONENT})*(?::\\w[\\w.-]{0,127})?(?:@${DIGEST})?$`);
/** Longer than any name that a Docker engine accepts. */
const MAX_LENGTH = 1024;

/** Whether the Docker engine accepts the text as the name of an image (grammar of distribution/reference). */
export const isImageName = (text: string): boolean => text.length <= MAX_LENGTH && REFERENCE.test(text);

/** `docker.io`, or the host at the beginning of the name: `registry.example.com:5000`. */
export function registryOf(image: string): string {
  const first = image.split('/')[0] ?? '';
  const isHost = image.includes('/') && (/[.:]/.test(first) || first === 'localhost');
  return isHost ? canonicalHost(first) : HUB;
}

const HUB = 'docker.io';

/** The name of an image without registry, tag and digest: `acme/shop`. */
export function repositoryOf(image: string): string {
  const [name = ''] = image.split('@');
  const path = registryOf(name) === HUB && !/^[^/]*docker\.io\//.test(name) ? name : name.slice(name.indexOf('/') + 1);
  return path.replace(/:[^:/]*$/, '');
}

/** The path after a registry as a person wrote it: `registry.example.com/acme` → `acme`; '' if there is none. */
export const pathBehind = (written: string): string =>
  written.includes('://') ? '' : written.split('/').slice(1).join('/').replace(/\/+$/, '');

/** The canonical name of a registry: Docker Hub has several, and configuration files add a scheme and a path. */
export function canonicalHost(written: string): string {
  const host = written
    .replace(/^https?:\/\//, '')
    .replace(/\/.*$/, '')
    .toLowerCase();
  return host === 'index.docker.io' || host === 'registry-1.docker.io' ? HUB : host;
}

/** A digest always names the same content, so the registry need not be asked again. */
export const isPinned = (image: string): boolean => image.includes('@');

/**
 * The form in which the Docker engine lists an image's tags: `nginx` → `nginx:latest`, `docker.io/library/nginx:1` → `nginx:1`.
 */
export function listedName(image: string): string {
  const [name = '', digest] = image.split('@');
  const host = registryOf(name);
  const path = host === HUB ? name.replace(/^[^/]*docker\.io\//, '').replace(/^library\//, '') : name;
  if (digest !== undefined) return `${path.replace(/:[^:/]*$/, '')}@${digest}`;
  return /:[^:/]*$/.test(path) ? path : `${path}:latest`;
}

export interface Platform {
  os: string;
  architecture: string;
  /** '' if the architecture has no variants. */
  variant: string;
}

/** `linux/arm64/v8`, in the form that images and Docker engines use. */
export const platformText = ({ os, architecture, variant }: Platform): string =>
  [os, architecture, variant].filter(Boolean).join('/');

/** Whether `has` is the wanted platform (`linux/arm64`, `arm64`, `linux/arm/v7`; '' is any). Some platforms have two names. */
export function isPlatform(wanted: string, has: Platform): boolean {
  if (wanted === '') return true;
  const parts = wanted.toLowerCase().split('/');
  const [os, name = '', variant = ''] = parts.length === 1 && parts[0] !== 'linux' ? ['linux', ...parts] : parts;
  if (os !== has.os.toLowerCase()) return false;
  const architecture = ARCHITECTURES[name] ?? name;
  if (architecture !== '' && architecture !== has.architecture) return false;
  const usual = USUAL_VARIANTS[has.architecture] ?? '';
  return variant === '' || variant === (has.variant || usual);
}

const ARCHITECTURES: Record<string, string> = { x86_64: 'amd64', 'x86-64': 'amd64', aarch64: 'arm64', i386: '386' };
const USUAL_VARIANTS: Record<string, string> = { arm64: 'v8', arm: 'v7', amd64: 'v1' };

/** The name without tag and digest. Another tag of the same repository is the same program with the same data. */
export const repositoryName = (image: string): string => listedName(image).replace(/(@.*|:[^:/]*)$/, '');
