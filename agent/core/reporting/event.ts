/** An event in the form that the broker and the live feed publish. Pure. */
import type { EventDocument } from '../../../manifests-schema/payloads.ts';
import type { AgentEvent } from '../types.ts';

export const eventDocumentOf = (
  { host, fleet }: { host: string; fleet: string },
  { id, seq, at, type, run, data }: AgentEvent,
): EventDocument => ({ schema: 1, host, fleet, id, seq, at, type, run, data });
