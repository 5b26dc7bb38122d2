/** An error of a git server, which the protocol transfers only as text. */
import { AgentError, type AgentErrorInit } from '../../errors.ts';

/** The server lets this filter through for nobody: `uploadpackfilter.*` of git-config(1). */
export class FilterRefused extends AgentError {}

/** The server does not have, or refuses to send, an object that was requested by id. */
export class ObjectUnknown extends AgentError {}

const UNKNOWN = /not our ref/;
const FILTER = /filter .*(not supported|allows max depth)/;

/** @param bytes the text after `ERR`, or of the error channel */
export function refused(bytes: Uint8Array): AgentError {
  const said = printable(bytes);
  const init: AgentErrorInit = { code: 'ServerError', phase: 'fetch', message: `the git server answered: ${said}` };
  if (UNKNOWN.test(said)) return new ObjectUnknown(init);
  return FILTER.test(said) ? new FilterRefused(init) : new AgentError(init);
}

const printable = (bytes: Uint8Array) =>
  Buffer.from(bytes)
    .toString('utf8')
    .replace(/[^\x20-\x7e]+/g, ' ')
    .trim()
    .slice(0, 300);
