/** The fleet by a label: ring, site, or any other. */
import type { Judged } from '../model/judged.ts';
import { groupsOf, labelKeys } from '../model/select.ts';
import type { Place } from '../model/url.ts';
import { count } from '../model/words.ts';
import { Bar, Nav, Said, unwellText } from './parts.tsx';

const SHOWN = 500;

export function Groups({ place, shown }: { place: Place; shown: readonly Judged[] }) {
  const keys = labelKeys(shown);
  const by = place.by || (keys.includes('ring') ? 'ring' : (keys[0] ?? ''));
  if (by === '') return <p class="empty">No host has a label. Labels come from agent.yaml and host.yaml.</p>;
  const groups = groupsOf(shown, by);
  return (
    <>
      <nav class="keys" aria-label="Label to group by">
        {keys.slice(0, 12).map((key) => (
          <Nav key={key} from={place} to={{ by: key }} class="chip" current={key === by}>
            <Said text={key} />
          </Nav>
        ))}
      </nav>
      <table class="plain" aria-label={`Hosts by ${by}`}>
        <thead>
          <tr>
            <th scope="col">
              <Said text={by} />
            </th>
            <th scope="col" class="num">
              Hosts
            </th>
            <th scope="col" class="c-bar">
              States
            </th>
            <th scope="col">Not well</th>
            <th scope="col" class="num">
              Commits
            </th>
          </tr>
        </thead>
        <tbody>
          {groups.slice(0, SHOWN).map(({ value, counts, commits }) => (
            <tr key={value}>
              <th scope="row">
                <Nav from={place} to={{ view: 'fleet', by: '', labels: [...place.labels, [by, value]] }}>
                  {value === '' ? <em>none</em> : <Said text={value} />}
                </Nav>
              </th>
              <td class="num" data-name="hosts">
                {counts.all.toLocaleString('en')}
              </td>
              <td class="c-bar">
                <Bar counts={counts} />
              </td>
              <td>{unwellText(counts) || <span class="quiet">all well</span>}</td>
              <td class="num" data-name="commits">
                {commits}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {groups.length > SHOWN && <p class="quiet">{count(groups.length - SHOWN, 'more group')}; search to see fewer.</p>}
    </>
  );
}
