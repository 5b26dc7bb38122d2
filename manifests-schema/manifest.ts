/** Manifests: one section for each kind, and the Compose sections, which are read by Compose's own rules. */
import { z } from 'zod';
import { ENTRIES, MEANINGS, SECTIONS, type Section } from './kinds/index.ts';

/** Compose's own top-level keys; compose/ checks what is in them. */
export const COMPOSE_KEYS = [
  'services',
  'networks',
  'volumes',
  'configs',
  'secrets',
  'name',
  'include',
  'version',
] as const;

const composeSections = Object.fromEntries(
  COMPOSE_KEYS.map((key) => [key, z.unknown().optional().describe('as in a compose file')]),
);

const ownSections = Object.fromEntries(
  SECTIONS.map((section) => [
    section,
    z.record(z.string(), ENTRIES[section].nullable()).nullable().optional().describe(MEANINGS[section]),
  ]),
);

export const manifest = z.strictObject({ ...ownSections, ...composeSections }).describe('A fairlead manifest');

export type Manifest = { [S in Section]?: Record<string, z.infer<(typeof ENTRIES)[S]> | null> | null | undefined };
