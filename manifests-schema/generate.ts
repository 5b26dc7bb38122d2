/** Writes json/*.schema.json and docs/reasons.md; with --check it only says whether they are up to date. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { agentConfig } from './agent-config.ts';
import { commandDocument, commandResult } from './commands.ts';
import { fleetContexts } from './contexts.ts';
import {
  affectedDocument,
  dashboardDocument,
  doctorDocument,
  encryptDocument,
  fleetActDocument,
  fleetDocument,
  fleetHostDocument,
  forgetDocument,
  historyDocument,
  holdDocument,
  initDocument,
  notifyDocument,
  planDocument,
  recipientsDocument,
  relayDocument,
  renderDocument,
  runDocument,
  showDocument,
  syncDocument,
  uninstallDocument,
  validateDocument,
  versionDocument,
} from './documents.ts';
import { fleetSettings } from './fleet.ts';
import { recentHistory } from './history.ts';
import { hostSettings } from './host.ts';
import { manifest } from './manifest.ts';
import { notificationDocument } from './notification.ts';
import { eventDocument, metricsDocument, resourcesDocument, statusDocument } from './payloads.ts';
import { REASONS } from './reasons.ts';
import { relaySettings } from './relay.ts';
import { roleSettings } from './role.ts';

const SCHEMAS: Record<string, z.ZodType> = {
  manifest,
  host: hostSettings,
  role: roleSettings,
  fleet: fleetSettings,
  agent: agentConfig,
  relay: relaySettings,
  'relay-check': relayDocument,
  'fleet-contexts': fleetContexts,
  status: statusDocument,
  resources: resourcesDocument,
  event: eventDocument,
  'recent-history': recentHistory,
  metrics: metricsDocument,
  notification: notificationDocument,
  command: commandDocument,
  'command-result': commandResult,
  plan: planDocument,
  sync: syncDocument,
  uninstall: uninstallDocument,
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
  dashboard: dashboardDocument,
  'fleet-act': fleetActDocument,
  'fleet-host': fleetHostDocument,
  forget: forgetDocument,
  notify: notifyDocument,
  version: versionDocument,
};

/** Schemas of files that people write, in the draft that every editor knows. */
const EDITED = ['manifest', 'host', 'role', 'fleet', 'agent', 'relay'];

const TURNS = { wait: 'it passes by itself', host: 'this host', commit: 'the commit' } as const;

/** docs/reasons.md, from the table in reasons.ts. */
function reasonsPage(): string {
  const rows = Object.entries(REASONS).sort(([a], [b]) => (a < b ? -1 : 1));
  const lines = rows.map(
    ([code, { meaning, fault, retry }]) => `| \`${code}\` | ${meaning} | ${TURNS[fault]} | ${retry ? 'yes' : 'no'} |`,
  );
  return `# Reasons

<!-- Generated from manifests-schema/reasons.ts by \`npm run schemas\`; edit the table there. -->

Every \`reason\` of status, history, events and errors. Reasons are stable: programs may compare them, and fairlead itself
decides by nothing else. The message beside a reason is for people, and may change.

\`\`\`console
$ fairlead status --json | jq -r '.problems[] | [.reason, .turn, .message] | @tsv'
ImagePullFailed	wait	registry.example.com/shop:1.5 cannot be pulled: …
\`\`\`

*Whose turn*: nobody's, because it passes by itself (\`wait\`: not yet, or an outage); that of somebody on this host, because a
precondition is missing (\`host\`); or that of the author, because another commit fixes it (\`commit\`). *Tried again*: without a new commit
and without a request.

| reason | meaning | whose turn | tried again |
|---|---|---|---|
${lines.join('\n')}
`;
}

function schemaText(name: string, schema: z.ZodType): string {
  const json: Record<string, unknown> = z.toJSONSchema(schema, {
    io: 'input',
    target: EDITED.includes(name) ? 'draft-7' : 'draft-2020-12',
  });
  // Compose's extension keys are welcome in every manifest.
  if (name === 'manifest') json.patternProperties = { '^x-': {} };
  return `${JSON.stringify(json, null, 2)}\n`;
}

const generated: [string, string][] = [
  ...Object.entries(SCHEMAS).map(([name, schema]): [string, string] => [
    path.join(import.meta.dirname, 'json', `${name}.schema.json`),
    schemaText(name, schema),
  ]),
  [path.join(import.meta.dirname, '../docs/reasons.md'), reasonsPage()],
];

if (process.argv.includes('--check')) {
  const stale = generated.filter(([file, text]) => !existsSync(file) || readFileSync(file, 'utf8') !== text);
  if (stale.length > 0) {
    console.error(`out of date: ${stale.map(([file]) => path.basename(file)).join(', ')}; run \`npm run schemas\``);
    process.exitCode = 1;
  }
} else for (const [file, text] of generated) writeFileSync(file, text);
