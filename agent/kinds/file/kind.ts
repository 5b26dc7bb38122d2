/** Files, directories and links, as core and engine know them. Pure. */
import type { FileEntry } from '../../../manifests-schema/kinds/file.ts';
import { locatorOf } from '../../core/id.ts';
import type { KindDefinition } from '../../core/kind.ts';
import { fileNames, fileProvides } from './names.ts';
import { renderFile } from './render.ts';
import type { FileSpec } from './spec.ts';

export const file: KindDefinition<FileSpec, FileEntry> = {
  name: 'file',
  declared: {
    section: 'files',
    exclusive: [['content', 'source', 'link', 'state']],
    nested: [],
    locator: (key) => (key.length > 1 ? key.replace(/\/+$/, '') : key),
    render: renderFile,
    tellsSecrets: true,
    // Readable by its owner only, unless the entry sets a mode.
    withSecret: (spec, { mode }) => ({
      ...spec,
      secret: true,
      ...(spec.type === 'file' && mode === undefined ? { mode: (spec.mode & 0o100) === 0 ? 0o600 : 0o700 } : {}),
    }),
  },
  provides: fileProvides,
  names: fileNames,
  place: ({ path, type }) => ({ path, replaced: type === 'file' }),
  paths: ({ path, type }) => (type === 'absent' ? [] : [path]),
  holder(id) {
    const path = locatorOf(id);
    const end = path.lastIndexOf('/');
    return end > 0 ? `file:${path.slice(0, end)}` : null;
  },
  complete: (spec, all) =>
    spec.type === 'directory' && spec.purge === true ? { ...spec, keep: all.namesIn(spec.path) } : null,
  traits: {
    observing: 'free',
    drifts: true,
    confirm: 're-observable',
    harmlessWhenNew: true,
    survivesDecommission: false,
    judgesEveryRun: false,
    mayRepeat: true,
    onRollback: () => 'run',
  },
};
