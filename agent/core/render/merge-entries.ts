/** Entries of several layers → one entry for each id, merged attribute by attribute; each attribute keeps its writer. Pure. */
import { issueAt } from '../../../manifests-schema/check.ts';
import type { Section } from '../../../manifests-schema/kinds/index.ts';
import type { Parsed } from '../../../manifests-schema/yaml.ts';
import { declaredBy, type KindTable } from '../kind.ts';
import type { Issue, Origin } from '../types.ts';
import type { Entry, LayerContent } from './layer-content.ts';

export interface Merged {
  section: Section;
  /** The key as the last layer wrote it. */
  key: string;
  value: Record<string, unknown>;
  /** Attribute → the entry that wrote it. */
  writers: ReadonlyMap<string, Entry>;
  /** The entry of the last layer. */
  last: Entry;
}

export function mergeEntries(
  kinds: KindTable,
  contents: readonly LayerContent[],
): { merged: Merged[]; issues: Issue[] } {
  const merged = new Map<string, Merged>();
  const issues: Issue[] = [];
  for (const entry of contents.flatMap((c) => c.entries)) {
    const id = `${entry.section} ${entry.id}`;
    const below = merged.get(id);
    if (entry.value === null) {
      if (below === undefined) {
        const message = `\`${entry.key}: null\` removes an inherited entry, but no layer below declares one`;
        issues.push(issueAt(entry.parsed, [entry.section, entry.key], message, 'warning'));
      }
      merged.delete(id);
    } else if (below === undefined) merged.set(id, first(entry, entry.value));
    else merged.set(id, above(kinds, below, entry, entry.value));
  }
  return { merged: [...merged.values()], issues };
}

const first = (entry: Entry, value: Record<string, unknown>): Merged => ({
  section: entry.section,
  key: entry.key,
  value,
  writers: new Map(Object.keys(value).map((attribute) => [attribute, entry])),
  last: entry,
});

function above(kinds: KindTable, below: Merged, entry: Entry, value: Record<string, unknown>): Merged {
  const { exclusive } = declaredBy(kinds, entry.section).declared;
  const replaced = new Set(exclusive.filter((group) => group.some((form) => Object.hasOwn(value, form))).flat());
  const kept = Object.entries(below.value).filter(([attribute]) => !replaced.has(attribute));
  const writers = new Map([...below.writers].filter(([attribute]) => !replaced.has(attribute)));
  for (const attribute of Object.keys(value)) writers.set(attribute, entry);
  return {
    section: entry.section,
    key: entry.key,
    value: { ...Object.fromEntries(kept), ...value },
    writers,
    last: entry,
  };
}

const writerOf = ({ writers, last }: Merged, attribute: unknown): Entry =>
  (typeof attribute === 'string' ? writers.get(attribute) : undefined) ?? last;

/** The merged entry as if it were in one file; each attribute has the place where it was written. */
export function viewOf(merged: Merged): Parsed {
  const { section, last } = merged;
  return {
    file: last.parsed.file,
    value: undefined,
    issues: [],
    locate([, , attribute, ...rest]) {
      const { parsed, key } = writerOf(merged, attribute);
      const path = attribute === undefined ? [section, key] : [section, key, attribute, ...rest];
      return { file: parsed.file, ...parsed.locate(path) };
    },
  };
}

export function originOf({ parsed, section, key, layer }: Entry): Origin {
  return { file: parsed.file, line: parsed.locate([section, key]).line, layer: layer.dir };
}

/** Attribute → where its value was written. */
export function attributeOrigins(merged: Merged): Record<string, Origin> {
  return Object.fromEntries(
    [...merged.writers].map(([attribute, { parsed, section, key, layer }]) => [
      attribute,
      { file: parsed.file, line: parsed.locate([section, key, attribute]).line, layer: layer.dir },
    ]),
  );
}
