/** Every kind by its name, and what a manifest may say of it: the one place in the schemas that lists them. */
import { checkEntry } from './check.ts';
import { fileEntry } from './file.ts';
import { jobEntry } from './job.ts';
import { references } from './shared.ts';
import { sysctlEntry } from './sysctl.ts';
import { unitEntry } from './unit.ts';

/** Kinds that stacks declare, in Compose's own sections. */
const STACK_KINDS = ['network', 'volume', 'service'] as const;
/** Section of a manifest → the kind that its entries declare. */
const SECTION_KINDS = { sysctls: 'sysctl', files: 'file', units: 'unit', jobs: 'job', checks: 'check' } as const;

export type Section = keyof typeof SECTION_KINDS;
export type Kind = (typeof STACK_KINDS)[number] | (typeof SECTION_KINDS)[Section];

export const SECTIONS = Object.keys(SECTION_KINDS) as readonly Section[];
export const KINDS: readonly Kind[] = [...STACK_KINDS, ...Object.values(SECTION_KINDS)];

const refs = references(KINDS);

/** Section → what one entry of it may say. */
export const ENTRIES = {
  sysctls: sysctlEntry,
  files: fileEntry(refs),
  units: unitEntry(refs),
  jobs: jobEntry(refs),
  checks: checkEntry,
} satisfies Record<Section, unknown>;

/** Section → what its keys and its entries are, as the published schema says it. */
export const MEANINGS: Readonly<Record<Section, string>> = {
  sysctls: 'name of a kernel setting → its value',
  files: 'absolute path → file',
  units: 'unit name → unit',
  jobs: 'name → command',
  checks: 'name → probe',
};
