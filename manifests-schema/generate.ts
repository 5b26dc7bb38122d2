/** Writes json/*.schema.json; with --check it only says whether they are up to date. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { agentConfig } from './agent-config.ts';
import {
  affectedDocument,
  doctorDocument,
  encryptDocument,
  fleetDocument,
  historyDocument,
  holdDocument,
  initDocument,
  notifyDocument,
  planDocument,
  recipientsDocument,
  renderDocument,
  runDocument,
  showDocument,
  syncDocument,
  validateDocument,
  versionDocument,
} from './documents.ts';
import { fleetSettings } from './fleet.ts';
import { hostSettings } from './host.ts';
import { manifest } from './manifest.ts';
import { eventDocument, resourcesDocument, statusDocument } from './payloads.ts';
import { roleSettings } from './role.ts';

const SCHEMAS: Record<string, z.ZodType> = {
  manifest,
  host: hostSettings,
  role: roleSettings,
  fleet: fleetSettings,
  agent: agentConfig,
  status: statusDocument,
  resources: resourcesDocument,
  event: eventDocument,
  plan: planDocument,
  sync: syncDocument,
  show: showDocument,
  history: historyDocument,
  run: runDocument,
  hold: holdDocument,
  doctor: doctorDocument,
  validate: validateDocument,
  render: renderDocument,
  affected: affectedDocument,
  recipients: recipientsDocument,
  encrypt: encryptDocument,
  init: initDocument,
  hosts: fleetDocument,
  notify: notifyDocument,
  version: versionDocument,
};

/** Those that people write, in the draft that every editor knows. */
const EDITED = ['manifest', 'host', 'role', 'fleet', 'agent'];

const stale = Object.entries(SCHEMAS).filter(([name, schema]) => {
  const file = path.join(import.meta.dirname, 'json', `${name}.schema.json`);
  const json: Record<string, unknown> = z.toJSONSchema(schema, {
    io: 'input',
    target: EDITED.includes(name) ? 'draft-7' : 'draft-2020-12',
  });
  // Compose's extension keys are welcome in every manifest.
  if (name === 'manifest') json.patternProperties = { '^x-': {} };
  const text = `${JSON.stringify(json, null, 2)}\n`;
  if (process.argv.includes('--check')) return readFileSync(file, 'utf8') !== text;
  writeFileSync(file, text);
  return false;
});
if (stale.length > 0) {
  console.error(`out of date: ${stale.map(([name]) => name).join(', ')}; run \`npm run schemas\``);
  process.exitCode = 1;
}
