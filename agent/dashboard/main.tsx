/** The page in a browser: reads its settings, connects to the broker, and draws. */
import { render } from 'preact';
import { createKeep, sessionOf } from './link/credentials.ts';
import { createSession } from './link/session.ts';
import { loadSettings, type Settings } from './link/settings.ts';
import { App } from './view/app.tsx';

/** The page is drawn again this often at most, however much the hosts say; single changes are shown at once. */
const REDRAW_MS = 250;

function start(settings: Settings, page: HTMLElement): void {
  let draw: (() => void) | null = null;
  let drawnAt = 0;
  let isDue = false;
  const redraw = () => {
    isDue = false;
    drawnAt = performance.now();
    draw?.();
  };
  const session = createSession({
    settings,
    onChanged() {
      if (isDue) return;
      isDue = true;
      setTimeout(redraw, Math.max(0, drawnAt + REDRAW_MS - performance.now()));
    },
  });
  const keep = createKeep(sessionOf(window));
  const onRedraw = (call: () => void) => {
    draw = call;
  };
  const kept = keep.load();
  const broker = settings.broker || (kept?.broker ?? '');
  if (kept !== null && broker !== '') session.connect({ ...kept, broker });
  else if (broker === '' || settings.isAsking) session.ask('');
  else session.connect({ broker, username: '', password: '' });
  render(<App {...{ settings, session, keep, onRedraw }} />, page);
}

const page = document.getElementById('page');
if (page !== null)
  loadSettings().then(
    (settings) => start(settings, page),
    (thrown: unknown) => {
      page.textContent = thrown instanceof Error ? thrown.message : String(thrown);
    },
  );
