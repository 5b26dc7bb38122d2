/** Which paths of the host the options of a volume refer to. Pure. */

export interface VolumePath {
  path: string;
  /** Nothing is written to the path through the volume. */
  readOnly: boolean;
}

const LAYERS = /^(lowerdir|upperdir|workdir|datadir)\+?=(.*)$/s;

/**
 * Docker's local driver takes the options of mount(8): a bind-mounted directory, or the layers of an overlay (lower layers are
 * only read). Any other device, such as a disk, is no directory of the host.
 */
export function volumePaths(options: Readonly<Record<string, string>> | null | undefined): VolumePath[] {
  const { device = '', o = '' } = options ?? {};
  const words = o.split(',');
  const isBind = words.some((one) => one === 'bind' || one === 'rbind');
  const layers = words.flatMap((word): VolumePath[] => {
    const [, name = '', paths = ''] = LAYERS.exec(word) ?? [];
    return paths.split(':').map((path) => ({ path, readOnly: name === 'lowerdir' || name === 'datadir' }));
  });
  return [...(isBind ? [{ path: device, readOnly: false }] : []), ...layers].filter(({ path }) => path.startsWith('/'));
}
