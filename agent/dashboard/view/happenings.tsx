/** Past and present events: the history of a host, and live events of one host or of all. */
import { changesSince, type Happening, type PastRun } from '../model/history.ts';
import { clock, count, shortId } from '../model/words.ts';
import { Ago, Nav, Said, Section } from './parts.tsx';

const DAY_MS = 86_400_000;

/** Changes of a host in the last day. */
export function PastDay({ history, now }: { history: readonly PastRun[] | null; now: number }) {
  if (history === null)
    return (
      <Section title="What changed here in the last day" id="day">
        <p class="quiet">The broker keeps no history of this host; agents retain it from version 0.1.0 on.</p>
      </Section>
    );
  const { runs, changed, repaired, failed, commits, isCut } = changesSince(history, now - DAY_MS);
  return (
    <Section title="What changed here in the last day" id="day">
      <p>
        {runs.length === 0
          ? 'Nothing.'
          : `${count(changed, 'change')}, ${count(repaired, 'repair')}, ${count(failed, 'failure')} in ${count(runs.length, 'run')} of ${count(commits.length, 'commit')}.`}
        {isCut && ' More happened than the broker keeps: `fairlead history` on the host has all.'}
      </p>
      <ol class="runs">
        {runs.map((run) => (
          <RunItem key={run.id} run={run} now={now} />
        ))}
      </ol>
    </Section>
  );
}

function RunItem({ run, now }: { run: PastRun; now: number }) {
  const more = run.actionsTotal - run.actions.length;
  return (
    <li>
      <p>
        <strong class={`w-${run.sync}`}>{run.sync}</strong> <code>{shortId(run.commit)}</code>{' '}
        <Said text={run.subject} />
      </p>
      <p class="quiet">
        #{run.id} {run.trigger}, <Ago at={run.at} now={now} />
        {run.author !== '' && ', by '}
        <Said text={run.author} />
        {run.message !== '' && ': '}
        <Said text={run.message} />
      </p>
      {run.actions.length > 0 && (
        <details open={run.actions.length <= 4}>
          <summary>{count(run.actionsTotal, 'action')}</summary>
          <ul>
            {run.actions.map(({ id, op, result, isDrift, why }) => (
              <li key={id}>
                <strong>
                  <Said text={id} />
                </strong>{' '}
                {op} <span class={`w-${result}`}>{result}</span>
                {isDrift && ' (it had drifted)'}{' '}
                <span class="quiet">
                  <Said text={why} />
                </span>
              </li>
            ))}
            {more > 0 && <li class="quiet">{more} more</li>}
          </ul>
        </details>
      )}
    </li>
  );
}

interface EventListProps {
  events: readonly Happening[];
  now: number;
  isWithHost: boolean;
}

export function EventList({ events, now, isWithHost }: EventListProps) {
  if (events.length === 0)
    return (
      <p class="quiet">
        Nothing since this page listens. Runs, changes, drift, repairs and rollbacks appear here as they happen.
      </p>
    );
  return (
    <ol class="events">
      {events.map(({ key, host, at, type, text }) => (
        <li key={key}>
          <time dateTime={at === null ? undefined : new Date(at).toISOString()} title={at === null ? '' : clock(at)}>
            {at === null ? '' : new Date(at).toLocaleTimeString('en-GB')}
          </time>{' '}
          <strong class={`e-${type}`}>{type}</strong> {isWithHost && <Nav to={{ view: 'host', host }}>{host}</Nav>}{' '}
          <Said text={text} />
          <span class="sr"> {at !== null && <Ago at={at} now={now} />}</span>
        </li>
      ))}
    </ol>
  );
}
