/** The resources of a host, those that are not well first. */
import { useState } from 'preact/hooks';
import type { Resource } from '../model/detail.ts';
import { count } from '../model/words.ts';
import { Said, Section } from './parts.tsx';

/** Shown at first; the rest is for those who ask. */
const FIRST = 50;

export function Resources({ resources }: { resources: readonly Resource[] }) {
  const [isAll, showAll] = useState(false);
  const shown = isAll ? resources : resources.slice(0, FIRST);
  return (
    <Section title={`Resources (${resources.length})`} id="resources">
      {resources.length === 0 ? (
        <p class="quiet">None: the repository declares nothing for this host.</p>
      ) : (
        <table class="plain" aria-labelledby="resources">
          <thead>
            <tr>
              <th scope="col">Resource</th>
              <th scope="col">Sync</th>
              <th scope="col">Health</th>
              <th scope="col">Reason</th>
            </tr>
          </thead>
          <tbody>
            {shown.map(({ id, sync, health, reason }) => (
              <tr key={id}>
                <th scope="row">
                  <Said text={id} />
                </th>
                <td class={`w-${sync}`}>{sync}</td>
                <td class={`w-${health}`}>{health}</td>
                <td>{reason}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {resources.length > shown.length && (
        <button type="button" onClick={() => showAll(true)}>
          show {count(resources.length - shown.length, 'more resource')}
        </button>
      )}
    </Section>
  );
}
