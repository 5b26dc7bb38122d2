/** The requests of the relay to a forge, in the form of each forge. Pure. */
import type { Report, ReportState } from './report.ts';

export interface Call {
  method: 'GET' | 'POST' | 'PUT';
  /** Below the root of the API. */
  path: string;
  body?: object;
}

/** Subject of a call. */
export interface Subject {
  /** `acme/fleet` */
  repository: string;
  /** Full object id. */
  commit: string;
  /** A branch or tag; empty if hosts follow something else. */
  ref: string;
  fleet: string;
  /** Environment of deployments. */
  environment: string;
  /** Target of the link in a status. */
  link?: string | undefined;
}

export interface DeploymentRules {
  /** Finds the deployment that an earlier relay may have created. */
  find(subject: Subject): Call;
  /** @param answer the answer of the forge, not trusted */
  foundIn(answer: unknown, subject: Subject): number | null;
  make(subject: Subject, state: ReportState): Call;
  /** Initial state of a new deployment; null: none. */
  stateWhenMade(state: ReportState): ReportState | null;
  /** Null if the forge does not support it. */
  tell(subject: Subject, deployment: { id: number; state: ReportState | null }, report: Report): Call | null;
}

export interface ForgeRules {
  /** Root of the API. @param url of the server or its API; default: the forge's own cloud service */
  rootOf(url: string | undefined): string;
  headers(token: string): Readonly<Record<string, string>>;
  /** Null if the forge does not support it. @param before the last state that was sent */
  status(subject: Subject, report: Report, before: Report | null): Call | null;
  /** If the forge refuses this (400), it has the state already. */
  mayBeKnown?(report: Report): boolean;
  deployments: DeploymentRules | null;
}

/** Body of a commit status for GitHub, and for Gitea, which uses the same form. */
export const statusBody = <State extends string>(subject: Subject, state: State, text: string) => ({
  state,
  context: contextOf(subject),
  description: text,
  ...(subject.link === undefined ? {} : { target_url: subject.link }),
});

/** Context name of a fleet in commit statuses. */
export const contextOf = ({ fleet }: Subject): string => `fairlead/${fleet}`;

/** The id of something that a forge created; null for any other answer. */
export function idOf(answer: unknown): number | null {
  const id = typeof answer === 'object' && answer !== null && 'id' in answer ? answer.id : null;
  return typeof id === 'number' && Number.isSafeInteger(id) && id > 0 ? id : null;
}

/** Text at a key of untrusted JSON. */
export const textAt = (value: unknown, key: string): string => {
  const at = typeof value === 'object' && value !== null && Object.hasOwn(value, key) ? Reflect.get(value, key) : '';
  return typeof at === 'string' ? at : '';
};

/** @param version of the API, such as `/api/v4`; the URL may contain it already */
export function rootAt(url: string, version: string): string {
  const plain = url.replace(/\/+$/, '');
  return plain.endsWith(version) ? plain : `${plain}${version}`;
}

/** `acme/fleet`, encoded as a part of a path. */
export const pathOf = (repository: string): string => repository.split('/').map(encodeURIComponent).join('/');
