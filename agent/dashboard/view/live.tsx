/** Live events of the whole fleet. */
import type { Feed } from '../model/feed.ts';
import { count } from '../model/words.ts';
import { EventList } from './happenings.tsx';

export function Live({ feed, search, now }: { feed: Feed; search: string; now: number }) {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const events = feed.list.filter(({ host, type, text }) => {
    const line = `${host} ${type} ${text}`.toLowerCase();
    return words.every((word) => line.includes(word));
  });
  return (
    <>
      <h1>As it happens</h1>
      <p class="quiet" role="status">
        {count(feed.total, 'event')} since this view was opened; the newest {feed.list.length} are kept here.
      </p>
      <div class="card">
        <EventList events={events} now={now} isWithHost />
      </div>
    </>
  );
}
