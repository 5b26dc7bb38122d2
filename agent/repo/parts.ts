/** A large fleet is validated by several processes side by side, each with a part of its hosts. */
import { spawn } from 'node:child_process';
import { AgentError } from '../errors.ts';
import type { Fleet } from './fleet.ts';
import type { FleetIssue, Validation } from './validate.ts';

/** Every n-th host from the k-th on: `1/2`, `2/2`. */
export interface Part {
  index: number;
  of: number;
}

/** Fewer hosts than this a process are not worth its start. */
const MIN_HOSTS = 400;

export const partsFor = (hosts: number, cores: number): number =>
  Math.max(1, Math.min(cores, Math.floor(hosts / MIN_HOSTS)));

export const parsePart = (text: string): Part | null => {
  const match = /^(\d{1,3})\/(\d{1,3})$/.exec(text);
  const index = Number(match?.[1]);
  const of = Number(match?.[2]);
  return match && index >= 1 && index <= of ? { index, of } : null;
};

export const partOf = (fleet: Fleet, { index, of }: Part): Fleet => ({
  ...fleet,
  hosts: fleet.hosts.filter((_, i) => i % of === index - 1),
});

/** @param argv the command line that validates all of it */
export async function validateParts(argv: readonly string[], of: number): Promise<Validation> {
  const parts = await Promise.all(
    Array.from({ length: of }, (_, i) => run([...argv, '--json', '--part', `${i + 1}/${of}`])),
  );
  return joinParts(parts);
}

/** An issue that several parts report is listed once, with the hosts of all of them. */
export function joinParts(parts: readonly Validation[]): Validation {
  const found = new Map<string, FleetIssue>();
  for (const issue of parts.flatMap((p) => p.issues)) {
    const key = JSON.stringify([issue.file, issue.line, issue.column, issue.message]);
    const known = found.get(key);
    found.set(key, known ? { ...known, hosts: [...new Set([...known.hosts, ...issue.hosts])].sort() } : issue);
  }
  const issues = [...found.values()].sort(
    (a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0) || a.line - b.line || a.column - b.column,
  );
  return { hosts: parts.reduce((sum, p) => sum + p.hosts, 0), issues };
}

function run([file = '', ...args]: readonly string[]): Promise<Validation> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const out: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.on('error', reject);
    child.on('close', (code) => {
      try {
        resolve(JSON.parse(Buffer.concat(out).toString()) as Validation);
      } catch {
        const message = `a part of the validation ended with exit code ${code} and no result`;
        reject(new AgentError({ code: 'ValidationFailed', phase: 'load', message }));
      }
    });
  });
}
