/** Files from which systemd's generators make units: systemd.generator(7), podman-systemd.unit(5), fstab(5). Pure. */

/** Generators read these at boot and at each daemon-reload. */
const INPUTS =
  /^\/etc\/(fstab|crypttab|rc\.local|containers\/systemd(\/.*)?|init\.d\/[^/]+|systemd\/system-generators\/[^/]+)$|^\/usr\/(local\/)?lib\/systemd\/system-generators\/[^/]+$|^\/usr\/share\/containers\/systemd(\/.*)?$/;
const QUADLET =
  /^\/(etc|usr\/share)\/containers\/systemd\/(?:.*\/)?([^/]+)\.(container|kube|pod|volume|network|image|build)$/;

/** Whether systemd must run its generators when this file has changed. */
export const isGeneratorInput = (path: string): boolean => INPUTS.test(path);

/** `unit:NAME` of each unit that a generator makes from the file. @param text its content, read only if it is needed */
export function generatedBy(path: string, text: () => string): string[] {
  const [, , stem = '', type = ''] = QUADLET.exec(path) ?? [];
  if (type !== '') {
    const named = /^\s*ServiceName\s*=\s*(\S+)\s*$/m.exec(text())?.[1];
    const suffix = type === 'container' || type === 'kube' ? '' : `-${type}`;
    const template = stem.endsWith('@') ? `${stem.slice(0, -1)}${suffix}@` : `${stem}${suffix}`;
    return [`unit:${named ?? template}.service`];
  }
  if (path === '/etc/fstab')
    return [...text().matchAll(/^\s*[^#\s]\S*\s+(\/\S*|none)\s+(\S+)/gm)].flatMap(([, at = '']) =>
      at === 'none' ? [] : [`unit:${escapePath(at)}.mount`, `tree:${at}`],
    );
  return [];
}

/** systemd-escape(1) `--path`. */
function escapePath(path: string): string {
  const plain = path.replace(/^\/+|\/+$/g, '').replace(/\/+/g, '/');
  if (plain === '') return '-';
  return plain
    .split('/')
    .map((part) =>
      part.replace(/^\.|[^A-Za-z0-9:_.]/g, (letter) =>
        [...new TextEncoder().encode(letter)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join(''),
      ),
    )
    .join('-');
}
