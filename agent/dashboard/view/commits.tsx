/** Commits over hosts: who runs what, and how each rollout went. */
import { useMemo } from 'preact/hooks';
import { type CommitGroup, commitsOf, rolloutOf } from '../model/commits.ts';
import type { Judged } from '../model/judged.ts';
import { NO_COMMIT } from '../model/select.ts';
import type { Place } from '../model/url.ts';
import { count, shortId } from '../model/words.ts';
import { Ago, Bar, Nav, Said, Section, unwellText } from './parts.tsx';
import { Plot } from './plot.tsx';

/** Number of commits whose curves have different colours. */
const CURVES = 6;
const SHOWN = 200;

export function Commits({ place, shown, now }: { place: Place; shown: readonly Judged[]; now: number }) {
  const groups = useMemo(() => commitsOf(shown), [shown]);
  const curves = groups.filter(({ times, commit }) => times.length > 0 && commit !== NO_COMMIT).slice(0, CURVES);
  const rollout = useMemo(() => rolloutOf(curves, now), [groups, now]);
  const lines = curves.map(({ commit }, at) => ({
    label: shortId(commit),
    values: rollout.series[at] ?? [],
    tone: at,
  }));
  return (
    <>
      {lines.length > 0 && (
        <Section title="How it went" id="rollout">
          <p class="quiet">
            Hosts that run each commit now, by when they applied it. Hosts that moved on since are not in it.
          </p>
          <Plot
            label={`Hosts on each commit over time: ${curves.map((c) => `${shortId(c.commit)} on ${c.counts.all}`).join(', ')}`}
            times={rollout.times}
            lines={lines}
            height={220}
            isStepped
          />
        </Section>
      )}
      <table class="plain" aria-label="Commits">
        <thead>
          <tr>
            <th scope="col">Commit</th>
            <th scope="col">Subject</th>
            <th scope="col" class="num">
              Hosts
            </th>
            <th scope="col" class="c-bar">
              States
            </th>
            <th scope="col">Not well</th>
            <th scope="col" class="num">
              Not there yet
            </th>
          </tr>
        </thead>
        <tbody>
          {groups.slice(0, SHOWN).map((group) => (
            <CommitRow key={group.commit} group={group} tone={curves.indexOf(group)} place={place} now={now} />
          ))}
        </tbody>
      </table>
      {groups.length > SHOWN && (
        <p class="quiet">{count(groups.length - SHOWN, 'more commit')}; search to see fewer.</p>
      )}
    </>
  );
}

interface CommitRowProps {
  group: CommitGroup;
  /** -1: it has no curve. */
  tone: number;
  place: Place;
  now: number;
}

function CommitRow({ group, tone, place, now }: CommitRowProps) {
  const { commit, subject, author, committedAt, counts, asked } = group;
  return (
    <tr>
      <th scope="row">
        {tone >= 0 && <span class={`key tone-${tone}`} aria-hidden="true" />}
        <Nav from={place} to={{ view: 'fleet', commit }}>
          {commit === NO_COMMIT ? <em>none</em> : <code>{shortId(commit)}</code>}
        </Nav>
      </th>
      <td>
        {subject === '' ? <span class="quiet">not told by any host</span> : <Said text={subject} />}
        {committedAt !== null && (
          <p class="quiet">
            <Said text={author} />, <Ago at={committedAt} now={now} />
          </p>
        )}
      </td>
      <td class="num" data-name="hosts">
        {counts.all.toLocaleString('en')}
      </td>
      <td class="c-bar">
        <Bar counts={counts} />
      </td>
      <td>{counts.all === 0 ? '' : unwellText(counts) || <span class="quiet">all well</span>}</td>
      <td class="num" data-name="not there yet">
        {asked === 0 ? '' : asked.toLocaleString('en')}
      </td>
    </tr>
  );
}
