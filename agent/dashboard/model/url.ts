/** The state of the page as its URL, so that it can be shared and the browser's buttons work. Pure. */
import { STATES, type State } from './state.ts';

export const VIEWS = ['fleet', 'groups', 'commits', 'live', 'host'] as const;
export type View = (typeof VIEWS)[number];

export interface Place {
  readonly view: View;
  /** Only for the view `host`. */
  readonly host: string;
  /** Words that the host's name, its labels, commit or sentence must have, all of them. */
  readonly search: string;
  /** Any one of these; none: all. */
  readonly states: readonly State[];
  /** Only those that need somebody. */
  readonly isNeeding: boolean;
  /** All of these. */
  readonly labels: readonly (readonly [key: string, value: string])[];
  /** Only hosts that run this commit; `none`: that run none. */
  readonly commit: string;
  /** Only hosts with this reason. */
  readonly cause: string;
  /** Key of the label by which the view `groups` groups. */
  readonly by: string;
}

export const HOME: Place = {
  view: 'fleet',
  host: '',
  search: '',
  states: [],
  isNeeding: false,
  labels: [],
  commit: '',
  cause: '',
  by: '',
};

const MAX_TEXT = 200;
const MAX_LABELS = 16;

/** @param query `?view=…`; what is not known in it is left out */
export function placeOf(query: string): Place {
  const params = new URLSearchParams(query);
  const text = (key: string) => (params.get(key) ?? '').slice(0, MAX_TEXT);
  const host = text('host');
  const view = VIEWS.find((name) => name === params.get('view')) ?? 'fleet';
  return {
    view: host !== '' ? 'host' : view === 'host' ? 'fleet' : view,
    host,
    search: text('q'),
    states: STATES.filter((state) => params.getAll('state').includes(state)),
    isNeeding: params.get('needs') === '1',
    labels: params
      .getAll('label')
      .slice(0, MAX_LABELS)
      .flatMap((label): [string, string][] => {
        const at = label.indexOf('=');
        return at <= 0 ? [] : [[label.slice(0, at), label.slice(at + 1, at + 1 + MAX_TEXT)]];
      }),
    commit: text('commit'),
    cause: text('cause'),
    by: text('by'),
  };
}

/** @returns `?…`, or `?` alone for the fleet without filters; what `placeOf` reads */
export function queryOf(place: Place): string {
  const params = new URLSearchParams();
  if (place.view === 'host') params.set('host', place.host);
  else if (place.view !== 'fleet') params.set('view', place.view);
  if (place.by !== '') params.set('by', place.by);
  if (place.isNeeding) params.set('needs', '1');
  for (const state of place.states) params.append('state', state);
  for (const [key, value] of place.labels) params.append('label', `${key}=${value}`);
  if (place.commit !== '') params.set('commit', place.commit);
  if (place.cause !== '') params.set('cause', place.cause);
  if (place.search !== '') params.set('q', place.search);
  return `?${params}`;
}

export const isFiltered = ({ search, states, isNeeding, labels, commit, cause }: Place): boolean =>
  search !== '' || states.length > 0 || isNeeding || labels.length > 0 || commit !== '' || cause !== '';
