/**
 * Small components of all views. Foreign text is only ever rendered as text, isolated from the direction of the text around
 * it.
 */
import type { ComponentChildren } from 'preact';
import type { Counts } from '../model/select.ts';
import { STATES, type State } from '../model/state.ts';
import { HOME, type Place, queryOf } from '../model/url.ts';
import { ago, clock } from '../model/words.ts';

/** A text of somebody else's making. */
export const Said = ({ text }: { text: string }) => <bdi>{text}</bdi>;

/** A shape beside the colour, so that nobody needs to see the colour. */
const MARKS: Readonly<Record<State, string>> = {
  failed: '✕',
  'rolled-back': '↶',
  degraded: '▲',
  offline: '○',
  'not delivered': '?',
  held: '‖',
  'out-of-sync': '≠',
  stale: '…',
  paused: '‖',
  unknown: '?',
  progressing: '↻',
  unassigned: '–',
  well: '✓',
};

export const slug = (state: State): string => state.replace(' ', '-');

export const Badge = ({ state }: { state: State }) => (
  <span class={`badge s-${slug(state)}`}>
    <span aria-hidden="true">{MARKS[state]}</span> {state}
  </span>
);

/** Age of something; the exact time is in its title. */
export const Ago = ({ at, now }: { at: number | null; now: number }) =>
  at === null ? (
    <>never</>
  ) : (
    <time dateTime={new Date(at).toISOString()} title={clock(at)}>
      {ago(at, now)}
    </time>
  );

interface NavProps {
  to: Partial<Place>;
  /** The part of the present URL that stays; default nothing. */
  from?: Place;
  class?: string;
  current?: boolean;
  label?: string;
  children: ComponentChildren;
}

/** A real link, which the page follows by itself. */
export const Nav = ({ to, from = HOME, class: name, current, label, children }: NavProps) => (
  <a
    data-place
    href={queryOf({ ...from, ...to })}
    class={name}
    aria-current={current ? 'page' : undefined}
    aria-label={label}
  >
    {children}
  </a>
);

/** A bar of states in proportion; the numbers are said as text beside it. */
export const Bar = ({ counts }: { counts: Counts }) => (
  <span class="bar" aria-hidden="true">
    {STATES.map((state) => {
      const n = counts.byState.get(state) ?? 0;
      return n === 0 ? null : <span key={state} class={`s-${slug(state)}`} style={{ flexGrow: n }} />;
    })}
  </span>
);

/** `3 failed, 1 offline`; nothing of those that are well. */
export const unwellText = (counts: Counts): string =>
  STATES.flatMap((state) => {
    const n = counts.byState.get(state) ?? 0;
    return n === 0 || state === 'well' ? [] : [`${n.toLocaleString('en')} ${state}`];
  }).join(', ');

export const Section = ({ title, children, id }: { title: string; id: string; children: ComponentChildren }) => (
  <section aria-labelledby={id} class="card">
    <h2 id={id}>{title}</h2>
    {children}
  </section>
);
