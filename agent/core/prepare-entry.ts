/** A merged entry, made ready for its kind: sources resolved in their layers, templates rendered, secrets put in. Pure. */
import { issueAt } from '../../manifests-schema/check.ts';
import { declaredBy, type KindTable } from './kind.ts';
import { isEncrypted } from './layer-content.ts';
import { type Merged, viewOf } from './merge-entries.ts';
import { overlay, type Payload } from './payload.ts';
import { resolveSource } from './source-path.ts';
import { linesOf, type RenderedText, type Templates } from './template.ts';
import type { Issue } from './types.ts';

export interface PrepareContext {
  kinds: KindTable;
  payload: Payload;
  templates: Templates;
  /** Plain bytes of an encrypted file. Throws Error with a sentence where it cannot be decrypted. */
  decrypt(file: string): Uint8Array;
}

export interface Prepared {
  value: Record<string, unknown>;
  /** The payload as this entry sees it: rendered and decrypted where the entry says so. */
  payload: Payload;
  /** Encrypted files that went into it. */
  secrets: string[];
  /** Lines of its texts in which a secret is; only of a kind that judges them. */
  secretLines: string[];
  issues: Issue[];
}

interface Work extends PrepareContext {
  merged: Merged;
  changed: Map<string, Uint8Array>;
  secrets: Set<string>;
  secretLines: string[];
  issues: Issue[];
}

export function prepareEntry(context: PrepareContext, merged: Merged): Prepared {
  const work: Work = { ...context, merged, changed: new Map(), secrets: new Set(), secretLines: [], issues: [] };
  const value = prepareForms(work, merged.value, []);
  for (const attribute of declaredBy(context.kinds, merged.section).declared.nested) {
    const texts = value[attribute];
    if (!isMap(texts)) continue;
    value[attribute] = Object.fromEntries(
      Object.entries(texts).map(([name, text]) => [
        name,
        isMap(text) ? prepareForms(work, text, [attribute, name]) : text,
      ]),
    );
  }
  const payload = work.changed.size > 0 ? overlay(work.changed, context.payload) : context.payload;
  return { value, payload, secrets: [...work.secrets], secretLines: work.secretLines, issues: work.issues };
}

/** `content` and `source` of an entry, or of a text nested in it. */
function prepareForms(work: Work, given: Record<string, unknown>, at: readonly string[]): Record<string, unknown> {
  const { template, ...rest } = given;
  const value: Record<string, unknown> = { ...rest };
  if (typeof value.content === 'string' && template === true) value.content = renderContent(work, value.content, at);
  if (typeof value.source === 'string') {
    const source = locateSource(work, value.source, at);
    if (source !== null) {
      prepareSource(work, source, template === true, at);
      // Resolved once and for all: see resolveSource.
      value.source = `//${source}`;
    }
  }
  return value;
}

const keyOf = ({ merged }: Work, at: readonly string[], form: string) => [merged.section, merged.key, ...at, form];
const writer = ({ merged }: Work, at: readonly string[], form: string) =>
  merged.writers.get(at[0] ?? form) ?? merged.last;

function fail(work: Work, at: readonly string[], form: string, message: string): void {
  work.issues.push(issueAt(viewOf(work.merged), keyOf(work, at, form), message));
}

function locateSource(work: Work, source: string, at: readonly string[]): string | null {
  const { parsed, layer } = writer(work, at, 'source');
  const path = resolveSource(parsed.file, source, layer.dir);
  if (path === null || source.startsWith('//')) {
    fail(work, at, 'source', `\`source: ${source}\` leaves ${layer.dir}; put the file below it`);
    return null;
  }
  if (!work.payload.has(path) && !isTree(work.payload, path)) {
    fail(work, at, 'source', `\`source: ${source}\` is not in the repository; expected it at ${path}`);
    return null;
  }
  return path;
}

function isTree(payload: PrepareContext['payload'], path: string): boolean {
  for (const file of payload.keys()) if (file.startsWith(`${path}/`)) return true;
  return false;
}

/** One payload file, or every file of a tree. */
function prepareSource(work: Work, source: string, template: boolean, at: readonly string[]): void {
  const { layer } = writer(work, at, 'source');
  if (work.payload.has(source) && isEncrypted(source)) {
    work.secrets.add(source);
    try {
      const plain = work.decrypt(source);
      work.changed.set(source, plain);
      if (judgesLines(work)) work.secretLines.push(...linesOf(new TextDecoder().decode(plain)));
    } catch (thrown) {
      fail(work, at, 'source', thrown instanceof Error ? thrown.message : String(thrown));
      return;
    }
  }
  if (!template) return;
  const files = work.payload.has(source)
    ? [source]
    : [...work.payload.keys()].filter((file) => file.startsWith(`${source}/`)).sort();
  for (const file of files) {
    const bytes = work.changed.get(file) ?? work.payload.get(file) ?? new Uint8Array();
    const done = work.templates.render({
      file,
      text: new TextDecoder().decode(bytes),
      root: layer.dir,
      key: keyOf(work, at, 'source').join('.'),
    });
    if (done.issue) work.issues.push(done.issue);
    else {
      noteSecrets(work, done);
      work.changed.set(file, new TextEncoder().encode(done.text));
    }
  }
}

function renderContent(work: Work, content: string, at: readonly string[]): string {
  const { parsed, section, key, layer } = writer(work, at, 'content');
  const path = [section, key, ...at, 'content'];
  const start = parsed.locate(path);
  // In a block scalar the text's first line is the one below its key; anywhere else its lines cannot be told apart.
  const block = parsed.isBlock?.(path) ?? false;
  const done = work.templates.render({
    file: parsed.file,
    text: content,
    root: layer.dir,
    key: path.join('.'),
    place: (line) => (block ? { line: start.line + line, column: 1 } : { line: start.line, column: start.column }),
  });
  if (done.issue) {
    work.issues.push(done.issue);
    return content;
  }
  noteSecrets(work, done);
  return done.text;
}

const judgesLines = ({ kinds, merged }: Work): boolean =>
  declaredBy(kinds, merged.section).declared.secretLine !== undefined;

function noteSecrets(work: Work, { secrets, secretLines }: RenderedText): void {
  for (const secret of secrets) work.secrets.add(secret);
  if (secrets.length > 0 && judgesLines(work)) work.secretLines.push(...secretLines());
}

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
