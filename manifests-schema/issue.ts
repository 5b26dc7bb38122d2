import type { ReasonCode } from './reasons.ts';

/** Error or warning in a file. Lines and columns count from 1. */
export interface Issue {
  file: string;
  line: number;
  column: number;
  /** Dotted path of the offending key, '' for the whole file. */
  key: string;
  message: string;
  severity: 'error' | 'warning';
  /** The reason in the status; default `InvalidManifest`. */
  reason?: ReasonCode;
}

/** `hosts/a/system.yaml:3:5: unknown key …` */
export const formatIssue = (issue: Issue): string => `${issue.file}:${issue.line}:${issue.column}: ${issue.message}`;
