/**
 * Cases of real life: each directory beside this file is one, with its story, its input and the expected result in `case.yaml`.
 * README.md says how to write one; run-case.ts runs it on a lab host.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';

const words = z.union([z.string().transform((line) => line.split(/\s+/).filter(Boolean)), z.array(z.string())]);
/** Seconds to wait until the expectation of a step holds. */
const within = z.number().positive().max(300).default(120);

const commit = z.strictObject({ commit: z.string() });
const fairlead = z.strictObject({
  fairlead: words,
  exit: z.number().int().default(0),
  /** Regular expressions that standard output and error together must match. */
  says: z.array(z.string()).default([]),
  saysNot: z.array(z.string()).default([]),
});
const status = z.strictObject({ status: z.record(z.string(), z.unknown()), within });
const host = z.strictObject({
  host: z.string(),
  /** Standard output without white space at its ends. */
  prints: z.string().optional(),
  within,
});
const remember = z.strictObject({ remember: z.array(z.string()) });
const unchanged = z.strictObject({ unchanged: z.array(z.string()) });
const changed = z.strictObject({ changed: z.array(z.string()) });

const schema = z.strictObject({
  /** What somebody experienced, in a sentence. */
  story: z.string().min(20),
  /** Whether only `npm run soak -- field` runs it: it takes long, or resembles another case. */
  soak: z.boolean().default(false),
  /** Lines of agent.yaml besides `host` and `repo`. */
  agent: z.record(z.string(), z.unknown()).default({}),
  /** Run on the host after the case, even if it failed. */
  cleanUp: z.string().default(''),
  steps: z.array(z.union([commit, fairlead, status, host, remember, unchanged, changed])).min(2),
});

export type Step = z.infer<typeof schema>['steps'][number];
export type FieldCase = z.infer<typeof schema> & { name: string; dir: string };

const ROOT = import.meta.dirname;

/** @throws Error with the case and its mistake */
export function loadCases(): FieldCase[] {
  return readdirSync(ROOT, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => loadCase(name))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function loadCase(name: string): FieldCase {
  const dir = path.join(ROOT, name);
  const found = schema.safeParse(parse(readFileSync(path.join(dir, 'case.yaml'), 'utf8')));
  if (!found.success) throw new Error(`test/field/${name}/case.yaml: ${z.prettifyError(found.error)}`);
  for (const step of found.data.steps)
    if ('commit' in step && !existsSync(path.join(dir, step.commit)))
      throw new Error(`test/field/${name}/case.yaml: commit: there is no directory ${step.commit} beside it`);
  return { ...found.data, name, dir };
}
