/** Prepares a merged entry for its kind: resolves sources in their layers, renders templates, inserts secrets. Pure. */
import { issueAt } from '../../../manifests-schema/check.ts';
import { declaredBy, type KindTable } from '../kind.ts';
import { resolveSource } from '../names/source-path.ts';
import { type Opening, openPayload } from '../payload/opened-payload.ts';
import { overlay, type Payload } from '../payload/payload.ts';
import { textOrIssue } from '../strict-text.ts';
import type { Issue } from '../types.ts';
import { keptBy } from './kept.ts';
import { type Merged, viewOf } from './merge-entries.ts';
import { linesOf, type RenderedText, type Templates } from './template.ts';

export interface PrepareContext {
  kinds: KindTable;
  payload: Payload;
  templates: Templates;
  /** Plain bytes of an encrypted file. Throws Error with a sentence if it cannot be decrypted. */
  decrypt(file: string): Uint8Array;
}

export interface Prepared {
  value: Record<string, unknown>;
  /** The payload as this entry sees it: rendered and decrypted if the entry says so. */
  payload: Payload;
  /** Encrypted files that were used. */
  secrets: string[];
  /** Whether a secret went into the text of the entry itself, not only into files that it names. */
  holdsSecret: boolean;
  /** Lines of its texts that contain a secret; only for a kind that judges them. */
  secretLines: string[];
  issues: Issue[];
}

interface Work extends PrepareContext {
  merged: Merged;
  opening: Opening;
  changed: Map<string, Uint8Array>;
  /** The files of `changed` that contain a secret. */
  secretFiles: Set<string>;
  secrets: Set<string>;
  holdsSecret: boolean;
  secretLines: string[];
  issues: Issue[];
}

export function prepareEntry(context: PrepareContext, merged: Merged): Prepared {
  const opening = openPayload({ ...context, isKept: keptIn(merged) });
  const work: Work = {
    ...context,
    merged,
    opening,
    changed: new Map(),
    secretFiles: new Set(),
    secrets: new Set(),
    holdsSecret: false,
    secretLines: [],
    issues: [],
  };
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
  const { changed, secretFiles, secrets, holdsSecret, secretLines, issues } = work;
  const payload = changed.size > 0 ? overlay(changed, opening.payload, secretFiles) : opening.payload;
  return { value, payload, secrets: [...secrets], holdsSecret, secretLines, issues };
}

/**
 * Combines `decrypt` of the entry, whose patterns are relative to its source, with that of its manifest's `x-fairlead`, whose
 * patterns are relative to the manifest.
 */
function keptIn({ value, writers, last }: Merged): (file: string) => boolean {
  const { parsed, layer } = writers.get('source') ?? last;
  const source = typeof value.source === 'string' ? resolveSource(parsed.file, value.source, layer.dir) : null;
  const manifest = isMap(parsed.value) ? parsed.value['x-fairlead'] : undefined;
  const own = keptBy(value.decrypt, source ?? '');
  const around = keptBy(
    isMap(manifest) ? manifest.decrypt : undefined,
    parsed.file.slice(0, parsed.file.lastIndexOf('/')),
  );
  return (file) => own(file) || around(file);
}

/** Prepares `content` and `source` of an entry, or of a text nested in it. */
function prepareForms(work: Work, given: Record<string, unknown>, at: readonly string[]): Record<string, unknown> {
  const { template, decrypt: _decrypt, ...rest } = given;
  const value: Record<string, unknown> = { ...rest };
  if (typeof value.content === 'string' && template === true) value.content = renderContent(work, value.content, at);
  if (typeof value.source === 'string') {
    const source = locateSource(work, value.source, at);
    if (source !== null) {
      prepareSource(work, source, template === true, at);
      // Marks the path as resolved: see resolveSource.
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

/** Prepares one payload file, or every file of a tree. */
function prepareSource(work: Work, source: string, template: boolean, at: readonly string[]): void {
  const files = work.payload.has(source)
    ? [source]
    : [...work.payload.keys()].filter((file) => file.startsWith(`${source}/`)).sort();
  for (const file of files) {
    if (work.opening.payload.secret?.(file) && !openSource(work, file, at)) continue;
    if (template) renderSource(work, file, at);
  }
}

/** @returns false, with an issue, if it cannot be decrypted */
function openSource(work: Work, file: string, at: readonly string[]): boolean {
  const plain = work.opening.payload.get(file) ?? new Uint8Array();
  work.secrets.add(file);
  const failure = work.opening.failures.get(file);
  if (failure !== undefined) {
    fail(work, at, 'source', failure);
    return false;
  }
  // Only texts are judged, and those must be UTF-8.
  if (judgesLines(work)) work.secretLines.push(...linesOf(textOf(work, file, plain) ?? ''));
  return true;
}

function textOf(work: Work, file: string, bytes: Uint8Array): string | null {
  const { text, issue } = textOrIssue(file, bytes);
  if (issue) work.issues.push(issue);
  return text;
}

function renderSource(work: Work, file: string, at: readonly string[]): void {
  const text = textOf(work, file, work.opening.payload.get(file) ?? new Uint8Array());
  if (text === null) return;
  const key = keyOf(work, at, 'source').join('.');
  const done = work.templates.render({ file, text, root: writer(work, at, 'source').layer.dir, key });
  if (done.issues) {
    work.issues.push(...done.issues);
    return;
  }
  noteSecrets(work, done);
  if (done.secrets.length > 0) work.secretFiles.add(file);
  work.changed.set(file, new TextEncoder().encode(done.text));
}

function renderContent(work: Work, content: string, at: readonly string[]): string {
  const { parsed, section, key, layer } = writer(work, at, 'content');
  const path = [section, key, ...at, 'content'];
  const start = parsed.locate(path);
  // The text of a block scalar starts on the line below its key; in any other scalar, lines cannot be mapped to the file.
  const block = parsed.isBlock?.(path) ?? false;
  const done = work.templates.render({
    file: parsed.file,
    text: content,
    root: layer.dir,
    key: path.join('.'),
    place: (line) => (block ? { line: start.line + line, column: 1 } : { line: start.line, column: start.column }),
  });
  if (done.issues) {
    work.issues.push(...done.issues);
    return content;
  }
  noteSecrets(work, done);
  if (done.secrets.length > 0) work.holdsSecret = true;
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
