/** One host: its problems and who has to act, what it runs, what changed, and live events. */
import type { ComponentChildren } from 'preact';
import { ahead } from '../../core/names/span.ts';
import { turnText } from '../../core/reporting/turn-text.ts';
import type { Detail, Problem } from '../model/detail.ts';
import type { HostFile } from '../model/host-file.ts';
import { type Judged, judge } from '../model/judged.ts';
import { unknownRow } from '../model/row.ts';
import { sentenceOf } from '../model/state.ts';
import { clock, shortId } from '../model/words.ts';
import { EventList, PastDay } from './happenings.tsx';
import { Metrics } from './metrics.tsx';
import { Ago, Badge, Nav, Said, Section } from './parts.tsx';
import { Resources } from './resources.tsx';

interface HostProps {
  host: string;
  judged: Judged | undefined;
  file: HostFile;
  now: number;
  /** All that the broker has is here. */
  isWhole: boolean;
  commands: ComponentChildren;
}

export function HostPage({
  host,
  judged = judge(unknownRow(host), Date.now()),
  file,
  now,
  isWhole,
  commands,
}: HostProps) {
  const { row, state } = judged;
  const { detail } = file;
  const isKnown = row.at !== null || row.presence !== 'unknown' || row.isUnreadable;
  return (
    <>
      <p class="back">
        <Nav to={{ view: 'fleet' }}>← the fleet</Nav>
      </p>
      <div class="headline">
        <h1>
          <Said text={host} /> {isKnown && <Badge state={state} />}
        </h1>
        <p>
          {isKnown ? (
            <Said text={sentenceOf(row, state, now) || 'All is well here.'} />
          ) : isWhole ? (
            'The broker has nothing of a host of this name.'
          ) : (
            'Nothing has been read of it yet.'
          )}
        </p>
        <p class="quiet">
          {row.presence === 'unknown'
            ? 'Whether it is online is not known'
            : `The broker says that it is ${row.presence}`}
          {row.presenceSince !== null && (
            <>
              {' '}
              since <Ago at={row.presenceSince} now={now} />
            </>
          )}
          . It last reported <Ago at={row.at} now={now} />
          {row.next !== null &&
            row.presence === 'online' &&
            (row.next < now ? `, and was to sync at ${clock(row.next)}` : `, and syncs next ${ahead(row.next, now)}`)}
          .
        </p>
        <Labels judged={judged} />
      </div>
      {commands}
      {detail !== null && <Held detail={detail} now={now} />}
      {detail !== null && detail.problems.length > 0 && (
        <Section title={`Problems (${row.problems})`} id="problems">
          <ul class="problems">
            {detail.problems.map((problem) => (
              <ProblemItem key={`${problem.id} ${problem.reason}`} problem={problem} now={now} />
            ))}
          </ul>
          {row.problems > detail.problems.length && (
            <p class="quiet">{row.problems - detail.problems.length} more; `fairlead status` on the host has all.</p>
          )}
        </Section>
      )}
      <div class="columns">
        <About judged={judged} detail={detail} now={now} />
        <Metrics samples={file.metrics} />
      </div>
      <PastDay history={file.history} now={now} />
      {file.resources !== null && <Resources resources={file.resources} />}
      {detail !== null && detail.warnings.length > 0 && (
        <Section title="Warnings" id="warnings">
          <ul class="problems">
            {detail.warnings.map(({ place, message }) => (
              <li key={`${place} ${message}`}>
                <Said text={message} />
                {place !== '' && (
                  <p class="quiet">
                    <code>
                      <Said text={place} />
                    </code>
                  </p>
                )}
              </li>
            ))}
          </ul>
        </Section>
      )}
      <Section title="Live" id="live">
        <EventList events={file.events} now={now} isWithHost={false} />
      </Section>
    </>
  );
}

const Labels = ({ judged: { row } }: { judged: Judged }) => (
  <p class="labels">
    {Object.entries(row.labels).map(([key, value]) => (
      <Nav key={key} to={{ view: 'fleet', labels: [[key, value]] }} class="chip">
        <Said text={`${key}: ${value}`} />
      </Nav>
    ))}
  </p>
);

/** `9, all synced`, or how many are not. */
function countsText({ counts: { total, failed, outOfSync, held } }: Detail): string {
  const numbers = [`${failed} failed`, `${outOfSync} out of sync`, `${held} held`].filter(
    (text) => !text.startsWith('0'),
  );
  return `${total}${total === 0 ? '' : `, ${numbers.length > 0 ? numbers.join(', ') : 'all synced'}`}`;
}

const ProblemItem = ({
  problem: { id, reason, message, turn, since, until, place },
  now,
}: {
  problem: Problem;
  now: number;
}) => (
  <li class={`turn-${turn === '' ? 'none' : turn}`}>
    <p>
      {id !== '' && (
        <strong>
          <Said text={id} />:{' '}
        </strong>
      )}
      <Said text={message} />
    </p>
    <p class="quiet">
      <code>{reason}</code>
      {turnText(turn) !== '' && ` · ${turnText(turn)}`}
      {since !== null && (
        <>
          {' · since '}
          <Ago at={since} now={now} />
        </>
      )}
      {until !== null && ` · tried again ${ahead(until, now)}`}
      {place !== '' && (
        <>
          {' · '}
          <code>
            <Said text={place} />
          </code>
        </>
      )}
    </p>
  </li>
);

/** Resources that are held or waited for, and until when. */
function Held({ detail: { gate, pin, waiting, paused, mode }, now }: { detail: Detail; now: number }) {
  const until = (at: number | null) =>
    at === null ? 'until somebody ends it' : `until ${clock(at)} (${ahead(at, now)})`;
  if (gate === null && pin === '' && waiting.length === 0 && paused.length === 0 && mode !== 'observe') return null;
  return (
    <Section title="Held or waited for" id="held">
      <ul class="problems">
        {gate !== null && (
          <li>
            <p>
              <Said text={gate.reason || gate.kind} />
            </p>
            <p class="quiet">
              {gate.kind}, {until(gate.until)}
            </p>
          </li>
        )}
        {gate === null && mode === 'observe' && (
          <li>Its mode is observe: fairlead reports differences and changes nothing.</li>
        )}
        {pin !== '' && (
          <li>
            Pinned to <code>{shortId(pin)}</code> until somebody resumes it.
          </li>
        )}
        {paused.map((one) => (
          <li key={one.id}>
            <p>
              <Said text={one.id} /> is paused{one.reason !== '' && ': '}
              <Said text={one.reason} />
            </p>
            <p class="quiet">{until(one.until)}</p>
          </li>
        ))}
        {waiting.map((one) => (
          <li key={one.id}>
            <p>
              Waits for <Said text={one.id} />
            </p>
            <p class="quiet">
              since <Ago at={one.since} now={now} />
              {one.until !== null && `, until ${clock(one.until)} at most`}
            </p>
          </li>
        ))}
      </ul>
    </Section>
  );
}

function About({ judged: { row }, detail, now }: { judged: Judged; detail: Detail | null; now: number }) {
  const run = detail?.run;
  return (
    <Section title="What it runs" id="about">
      <dl>
        <dt>Asked for</dt>
        <dd>
          {row.commit === '' ? (
            'nothing yet'
          ) : (
            <>
              <Nav to={{ view: 'fleet', search: row.commit.slice(0, 12) }}>
                <code>{shortId(row.commit)}</code>
              </Nav>{' '}
              <Said text={row.subject} />
              <p class="quiet">
                {detail?.ref && `${detail.ref}, `}
                <Said text={row.author} />, <Ago at={row.committedAt} now={now} />
                {detail?.signer && `, signed by ${detail.signer}`}
              </p>
            </>
          )}
        </dd>
        <dt>Applied</dt>
        <dd>
          {row.applied === '' ? (
            'nothing yet'
          ) : (
            <>
              <code>{shortId(row.applied)}</code>, <Ago at={row.appliedAt} now={now} />
            </>
          )}
        </dd>
        {detail?.bad.map(({ commit, reason }) => (
          <BadCommit key={commit} commit={commit} reason={reason} />
        ))}
        {run && (
          <>
            <dt>Last run</dt>
            <dd>
              #{run.id} {run.trigger}, <Ago at={run.startedAt} now={now} />: {run.changed} changed, {run.failed} failed,{' '}
              {run.repaired} repaired
            </dd>
          </>
        )}
        {detail && (
          <>
            <dt>Resources</dt>
            <dd>{countsText(detail)}</dd>
          </>
        )}
        {detail?.facts.map(([name, value]) => value !== '' && <Fact key={name} name={name} value={value} />)}
      </dl>
    </Section>
  );
}

const Fact = ({ name, value }: { name: string; value: string }) => (
  <>
    <dt>{name}</dt>
    <dd>
      <Said text={value} />
    </dd>
  </>
);

const BadCommit = ({ commit, reason }: { commit: string; reason: string }) => (
  <>
    <dt>Bad</dt>
    <dd>
      <code>{shortId(commit)}</code> {reason}
    </dd>
  </>
);
