/** The whole page: its head, and the view that its address names. */
import { useEffect, useMemo, useReducer, useRef, useState } from 'preact/hooks';
import type { Credentials, Keep } from '../link/credentials.ts';
import type { Session } from '../link/session.ts';
import type { Settings } from '../link/settings.ts';
import { linkText, noticeOf } from '../link/state.ts';
import { createJudge } from '../model/judged.ts';
import { select } from '../model/select.ts';
import { HOME, isFiltered, type Place, placeOf, queryOf, type View } from '../model/url.ts';
import { Commits } from './commits.tsx';
import { Filters, Fleet } from './fleet.tsx';
import { Groups } from './groups.tsx';
import { HostPage } from './host.tsx';
import { Live } from './live.tsx';
import { Login } from './login.tsx';
import { Orders } from './orders.tsx';
import { Nav } from './parts.tsx';

export interface AppProps {
  settings: Settings;
  session: Session;
  keep: Keep;
  /** Calls back when what is shown may have changed; not more often than is good for the page. */
  onRedraw(redraw: () => void): void;
}

const MENU: readonly { view: View; name: string }[] = [
  { view: 'fleet', name: 'Fleet' },
  { view: 'groups', name: 'Groups' },
  { view: 'commits', name: 'Commits' },
  { view: 'live', name: 'Live' },
];
/** Texts such as `3 min ago` go on this often. */
const TICK_MS = 10_000;
/** While somebody types, the address is left alone. */
const TYPING_MS = 300;

export function App({ settings, session, keep, onRedraw }: AppProps) {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const [now, setNow] = useState(() => Date.now());
  const [place, setPlace] = useState(() => placeOf(location.search));
  const main = useRef<HTMLElement>(null);
  const jury = useMemo(createJudge, []);

  useEffect(() => {
    onRedraw(() => redraw(undefined));
    const ticking = setInterval(() => setNow(Date.now()), TICK_MS);
    const moved = () => setPlace(placeOf(location.search));
    window.addEventListener('popstate', moved);
    return () => {
      clearInterval(ticking);
      window.removeEventListener('popstate', moved);
    };
  }, []);

  const go = (to: Place, how: 'push' | 'replace' = 'push') => {
    const query = queryOf(to);
    if (how === 'push') history.pushState(null, '', query);
    else history.replaceState(null, '', query);
    setPlace(to);
    if (how === 'push' && (to.view !== place.view || to.host !== place.host)) {
      window.scrollTo(0, 0);
      main.current?.focus({ preventScroll: true });
    }
  };
  const followed = (event: MouseEvent) => {
    if (
      event.defaultPrevented ||
      event.button !== 0 ||
      event.metaKey ||
      event.ctrlKey ||
      event.shiftKey ||
      event.altKey
    )
      return;
    const link = event.target instanceof Element ? event.target.closest<HTMLAnchorElement>('a[data-place]') : null;
    if (link === null) return;
    event.preventDefault();
    go(placeOf(link.search));
  };
  useEffect(() => {
    document.addEventListener('click', followed);
    return () => document.removeEventListener('click', followed);
  });
  useEffect(() => {
    session.look(place.view === 'host' ? place.host : null);
    session.listen(place.view === 'live');
    document.title = `${place.view === 'host' ? `${place.host} · ` : ''}${settings.fleet} · fairlead`;
    redraw(undefined);
  }, [place.view, place.host]);
  useKeys(go, place);

  const { state } = session;
  const all = jury.all(session.store.rows, session.store.version, now);
  const shown = useMemo(() => select(all, place), [all, place]);
  const notice = noticeOf(state, now);
  const isAsking = state.kind === 'asking';
  return (
    <>
      <header class="top">
        <Nav to={{}} class="brand">
          fairlead <small>{settings.fleet}</small>
        </Nav>
        <nav aria-label="Views">
          {MENU.map(({ view, name }) => (
            <Nav
              key={view}
              to={{ ...(view === 'live' ? HOME : place), view, host: '', by: '' }}
              current={place.view === view}
            >
              {name}
            </Nav>
          ))}
        </nav>
        <Search place={place} go={go} />
        <span class={`link is-${state.kind}`} role="status">
          {linkText(state, all.length)}
        </span>
      </header>
      <main ref={main} tabIndex={-1}>
        {notice !== '' && (
          <p class="notice" role="alert">
            {notice}
          </p>
        )}
        {isAsking ? (
          <Login
            broker={settings.broker}
            why={state.why}
            onEntered={(credentials: Credentials, isKept: boolean) => {
              if (isKept) keep.save(credentials);
              else keep.forget();
              session.connect(credentials);
            }}
          />
        ) : (
          <ViewOf {...{ place, all, shown, now, session }} />
        )}
      </main>
    </>
  );
}

interface ViewProps {
  place: Place;
  all: ReturnType<ReturnType<typeof createJudge>['all']>;
  shown: ReturnType<typeof select>;
  now: number;
  session: Session;
}

function ViewOf({ place, all, shown, now, session }: ViewProps) {
  const { isWhole } = session;
  const filters = isFiltered(place) && <Filters place={place} shown={shown.length} all={all.length} />;
  switch (place.view) {
    case 'fleet':
      return <Fleet {...{ place, all, shown, now, isWhole }} />;
    case 'groups':
      return (
        <>
          <h1>Groups</h1>
          {filters}
          <Groups place={place} shown={shown} />
        </>
      );
    case 'commits':
      return (
        <>
          <h1>Commits</h1>
          {filters}
          <Commits place={place} shown={shown} now={now} />
        </>
      );
    case 'live':
      return <Live feed={session.feed} search={place.search} now={now} />;
    case 'host':
      return session.reader === null ? null : (
        <HostPage
          host={place.host}
          judged={all.find(({ row }) => row.host === place.host)}
          file={session.reader.file}
          now={now}
          isWhole={isWhole}
          commands={
            <Orders
              host={place.host}
              followed={session.reader.file.detail?.commands ?? []}
              order={session.orderOf(place.host)}
              isConnected={session.state.kind === 'live'}
              onGiven={(wish) => session.give(place.host, wish)}
            />
          }
        />
      );
  }
}

type Go = (to: Place, how?: 'push' | 'replace') => void;

function Search({ place, go }: { place: Place; go: Go }) {
  const [text, setText] = useState(place.search);
  const typing = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => setText(place.search), [place.search]);
  const typed = (value: string) => {
    setText(value);
    clearTimeout(typing.current);
    const view = place.view === 'host' ? 'fleet' : place.view;
    typing.current = setTimeout(() => go({ ...place, view, host: '', search: value }, 'replace'), TYPING_MS);
  };
  return (
    <input
      type="search"
      aria-label="Search hosts"
      placeholder="Search: name, label, commit, reason  ( / )"
      value={text}
      onInput={(event) => typed(event.currentTarget.value)}
    />
  );
}

/** `/` goes to the search, Escape leaves a host; arrows go up and down the hosts of the table. */
function useKeys(go: Go, place: Place): void {
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.metaKey || event.ctrlKey || event.altKey) return;
      const target = event.target instanceof HTMLElement ? event.target : null;
      const isTyping = target !== null && /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
      if (event.key === '/' && !isTyping) {
        event.preventDefault();
        document.querySelector<HTMLInputElement>('input[type="search"]')?.focus();
      } else if (event.key === 'Escape' && place.view === 'host' && !isTyping) go({ ...HOME });
      else if ((event.key === 'ArrowDown' || event.key === 'ArrowUp') && target?.closest('.hosts')) {
        const row = target.closest('tr');
        const next = event.key === 'ArrowDown' ? row?.nextElementSibling : row?.previousElementSibling;
        const link = next?.querySelector<HTMLElement>('a');
        if (!link) return;
        event.preventDefault();
        link.focus();
      }
    };
    document.addEventListener('keydown', pressed);
    return () => document.removeEventListener('keydown', pressed);
  });
}
