/** Checks every host of a repository as its agent would: all errors, each once with its hosts. */
import { encryptionOf } from '../core/payload/encrypted.ts';
import type { Issue } from '../core/types.ts';
import { AgentError } from '../errors.ts';
import { type Recipients, recipientsOf } from '../secrets/recipients.ts';
import { type Fleet, type FleetHost, type RenderDeps, type RenderedHost, refusal, renderFleetHost } from './fleet.ts';
import { inTurns } from './in-turns.ts';

export interface FleetIssue extends Issue {
  /** Directories of the hosts it concerns; none for the repository as a whole. */
  hosts: string[];
}

export interface Validation {
  hosts: number;
  /** By file and line; errors of a shared layer stand once. */
  issues: FleetIssue[];
}

export async function validateFleet(fleet: Fleet, deps: RenderDeps): Promise<Validation> {
  const found = new Map<string, FleetIssue>();
  const add = (issue: Issue, host?: FleetHost) => {
    const key = JSON.stringify([issue.file, issue.line, issue.column, issue.message]);
    const known = found.get(key) ?? { ...issue, hosts: [] };
    if (host && !known.hosts.includes(host.path)) known.hosts.push(host.path);
    found.set(key, known);
  };
  for (const issue of fleet.issues) add(issue);
  const recipients = createRecipientReader();
  await inTurns(fleet.hosts, async (host) => {
    const loaded = await rendered(fleet, host, deps);
    if (loaded instanceof AgentError) return add(refusal({ file: host.path, message: loaded.message }), host);
    for (const issue of loaded.issues) add(issue, host);
    const uses = new Map<string, Uint8Array>();
    for (const file of loaded.secrets) {
      const bytes = loaded.files.get(file);
      if (bytes) uses.set(file, bytes);
    }
    for (const issue of await secretIssues(host, loaded.host.age, uses, recipients)) add(issue, host);
  });
  for (const issue of found.values()) issue.hosts.sort();
  const issues = [...found.values()].sort(
    (a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0) || a.line - b.line || a.column - b.column,
  );
  return { hosts: fleet.hosts.length, issues };
}

/** A directory that git itself would not make is the fault of this host alone. */
async function rendered(fleet: Fleet, host: FleetHost, deps: RenderDeps): Promise<RenderedHost | AgentError> {
  try {
    return await renderFleetHost(fleet, host, deps);
  } catch (thrown) {
    if (thrown instanceof AgentError && thrown.code === 'InvalidRepository') return thrown;
    throw thrown;
  }
}

type RecipientReader = (file: string, bytes: Uint8Array) => Promise<Recipients | null>;

/** A shared file is read once. Files that cannot be read are complained of where they are used. */
function createRecipientReader(): RecipientReader {
  const known = new Map<string, Promise<Recipients | null>>();
  return (file, bytes) => {
    const found = known.get(file) ?? recipientsOf(file, bytes).catch(() => null);
    known.set(file, found);
    return found;
  };
}

/** Every encrypted file that reaches a host must be encrypted to it. */
async function secretIssues(
  host: FleetHost,
  age: string | undefined,
  uses: ReadonlyMap<string, Uint8Array>,
  read: RecipientReader,
): Promise<Issue[]> {
  const issues: Issue[] = [];
  for (const [file, bytes] of uses) {
    const at = { line: 1, column: 1, key: '', severity: 'error' as const };
    if (age === undefined) {
      const message = `${host.path} uses ${file}, but its host.yaml has no \`age:\`; \`fairlead secret recipients\` on the host prints it`;
      issues.push({ ...at, file: `${host.path}/host.yaml`, message });
      continue;
    }
    const recipients = await read(file, bytes);
    if (recipients === null || recipients.known.includes(age)) continue;
    const again = encryptionOf(file, bytes) === 'age' ? '`fairlead secret encrypt`' : '`sops updatekeys`';
    if (recipients.complete) {
      const message = `${file} is not encrypted to ${host.path} (${age}), which uses it; encrypt it again with ${again}`;
      issues.push({ ...at, file, message });
    } else {
      const message = `nobody can tell from ${file} whether ${host.path}, which uses it, can open it: it is for ${recipients.keys} unnamed keys; encrypt it with \`fairlead secret encrypt\`, which names them`;
      issues.push({ ...at, file, severity: 'warning', message });
    }
  }
  return issues;
}
