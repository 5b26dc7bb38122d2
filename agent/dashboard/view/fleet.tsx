/** The fleet at a glance: how many hosts need somebody, why, and all of them in a table. */

import { turnText } from '../../core/reporting/turn-text.ts';
import type { Judged } from '../model/judged.ts';
import { type Counts, causesOf, countsOf } from '../model/select.ts';
import { STATES, type State, sentenceOf } from '../model/state.ts';
import { isFiltered, type Place } from '../model/url.ts';
import { count, shortId } from '../model/words.ts';
import { Badge, Bar, Nav, Said, Section, slug } from './parts.tsx';
import { HostTable } from './table.tsx';

interface FleetProps {
  place: Place;
  all: readonly Judged[];
  shown: readonly Judged[];
  now: number;
  /** All that the broker has is here. */
  isWhole: boolean;
}

/** Maximum number of causes that are listed; the others are in the table. */
const CAUSES = 6;

export function Fleet({ place, all, shown, now, isWhole }: FleetProps) {
  const counts = countsOf(all);
  const filtered = isFiltered(place);
  return (
    <>
      <Headline counts={counts} isWhole={isWhole} />
      <Tiles counts={counts} place={place} />
      {!filtered && <Causes all={all} now={now} />}
      {filtered && <Filters place={place} shown={shown.length} all={all.length} />}
      {shown.length > 0 ? (
        <HostTable hosts={shown} now={now} />
      ) : (
        <p class="empty">
          {all.length > 0
            ? 'No host is like that.'
            : isWhole
              ? 'No host has reported to this broker. The index of this fleet is empty, or this user may not read it: check the prefix, the name of the fleet, and the access rules of the broker.'
              : 'Nothing has been read yet.'}
        </p>
      )}
    </>
  );
}

function Headline({ counts, isWhole }: { counts: Counts; isWhole: boolean }) {
  const { all, needs, waits } = counts;
  if (all === 0) return <h1>The fleet</h1>;
  const hosts = `${all.toLocaleString('en')} ${all === 1 ? 'host' : 'hosts'}`;
  return (
    <div class="headline">
      <h1 class={needs > 0 ? 'is-bad' : 'is-good'}>
        {needs === 0
          ? `${all === 1 ? 'The one host needs' : `None of ${hosts} needs`} ${all === 1 ? 'nobody' : 'anybody'}`
          : `${needs.toLocaleString('en')} of ${hosts} ${needs === 1 ? 'needs' : 'need'} somebody`}
      </h1>
      <p class="quiet">
        {waits > 0 ? `${count(waits, 'host')} under way or waiting. ` : ''}
        {isWhole ? '' : 'Still reading: these are not all yet.'}
      </p>
      <Bar counts={counts} />
    </div>
  );
}

/** Each state with its number; a press shows these hosts alone. */
function Tiles({ counts, place }: { counts: Counts; place: Place }) {
  const toggled = (state: State) =>
    place.states.includes(state) ? place.states.filter((s) => s !== state) : [...place.states, state];
  return (
    <nav class="tiles" aria-label="Hosts by state">
      {STATES.map((state) => {
        const n = counts.byState.get(state) ?? 0;
        const isOn = place.states.includes(state);
        if (n === 0 && !isOn && state !== 'well') return null;
        return (
          <Nav
            key={state}
            from={place}
            to={{ view: 'fleet', states: toggled(state) }}
            class={`tile s-${slug(state)}${isOn ? ' is-on' : ''}`}
            label={`${n} ${state}${isOn ? ', shown; show all' : ''}`}
          >
            <strong>{n.toLocaleString('en')}</strong> <span>{state}</span>
          </Nav>
        );
      })}
    </nav>
  );
}

/** Each problem once, for all hosts that have it. */
function Causes({ all, now }: { all: readonly Judged[]; now: number }) {
  const causes = causesOf(all);
  if (causes.length === 0) return null;
  return (
    <Section title="Who needs somebody, and why" id="why">
      <ul class="causes">
        {causes.slice(0, CAUSES).map(({ cause, hosts, example }) => {
          const { row, state } = example;
          const turn = turnText(row.problem?.turn ?? '');
          return (
            <li key={cause}>
              <Badge state={state} />
              <div>
                <Nav to={hosts === 1 ? { view: 'host', host: row.host } : { view: 'fleet', cause, isNeeding: true }}>
                  {hosts === 1 ? row.host : count(hosts, 'host')}
                </Nav>{' '}
                {cause !== state && <code>{cause}</code>}
                <p>
                  <Said text={sentenceOf(row, state, now) || state} />
                  {turn !== '' && state !== 'offline' && <span class="quiet"> ({turn})</span>}
                </p>
              </div>
            </li>
          );
        })}
      </ul>
      {causes.length > CAUSES && (
        <p class="quiet">{count(causes.length - CAUSES, 'more cause')}, in the table below.</p>
      )}
    </Section>
  );
}

/** The active filters of the table, each with a button that removes it. */
export function Filters({ place, shown, all }: { place: Place; shown: number; all: number }) {
  const parts: { text: string; without: Partial<Place> }[] = [
    ...place.states.map((state) => ({ text: state, without: { states: place.states.filter((s) => s !== state) } })),
    ...(place.isNeeding ? [{ text: 'need somebody', without: { isNeeding: false } }] : []),
    ...(place.cause ? [{ text: place.cause, without: { cause: '' } }] : []),
    ...(place.commit
      ? [{ text: `run ${place.commit === 'none' ? 'no commit' : shortId(place.commit)}`, without: { commit: '' } }]
      : []),
    ...place.labels.map(([key, value]) => ({
      text: value === '' ? `no ${key}` : `${key}: ${value}`,
      without: { labels: place.labels.filter(([k, v]) => k !== key || v !== value) },
    })),
    ...(place.search ? [{ text: `“${place.search}”`, without: { search: '' } }] : []),
  ];
  return (
    <div class="filters" role="status">
      <span>
        {shown.toLocaleString('en')} of {count(all, 'host')}:
      </span>
      {parts.map(({ text, without }) => (
        <Nav key={text} from={place} to={without} class="chip" label={`${text}; remove this filter`}>
          <Said text={text} /> <span aria-hidden="true">×</span>
        </Nav>
      ))}
      <Nav to={{ view: place.view, by: place.by }}>show all</Nav>
    </div>
  );
}
