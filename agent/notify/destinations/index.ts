/** The formats that are sent over HTTP. */
import type { Format } from '../../../manifests-schema/notify.ts';
import { json } from './json.ts';
import { matrix } from './matrix.ts';
import { ntfy } from './ntfy.ts';
import type { Build } from './request.ts';
import { slack } from './slack.ts';
import { teams } from './teams.ts';

export const BUILDERS: Readonly<Record<Exclude<Format, 'mail'>, Build>> = { slack, teams, matrix, ntfy, json };
