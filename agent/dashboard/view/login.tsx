/** Asks for the user of the broker, and for the broker if the page has none. */
import { useRef, useState } from 'preact/hooks';
import type { Credentials } from '../link/credentials.ts';
import { isSocketUrl } from '../link/settings.ts';

interface LoginProps {
  /** Empty: the page asks for it, too. */
  broker: string;
  /** Why the last try was refused; empty at the first. */
  why: string;
  onEntered(credentials: Credentials, isKept: boolean): void;
}

export function Login({ broker, why, onEntered }: LoginProps) {
  const form = useRef<HTMLFormElement>(null);
  const [complaint, complain] = useState('');
  const enter = (event: Event) => {
    event.preventDefault();
    if (form.current === null) return;
    const data = new FormData(form.current);
    const text = (name: string) => String(data.get(name) ?? '');
    const url = broker || text('broker').trim();
    if (!isSocketUrl(url)) return complain('The broker’s address begins with wss:// or ws://.');
    onEntered({ broker: url, username: text('username'), password: text('password') }, data.get('keep') === 'on');
  };
  return (
    <form class="card login" ref={form} onSubmit={enter} aria-labelledby="login-title">
      <h1 id="login-title">Sign in to the broker</h1>
      {(why || complaint) && (
        <p role="alert" class="is-bad">
          {complaint || why}
        </p>
      )}
      {broker === '' ? (
        <label>
          Websocket address of the broker
          <input name="broker" type="url" required placeholder="wss://broker.example.com:8884" autocomplete="url" />
        </label>
      ) : (
        <p class="quiet">
          <bdi>{broker}</bdi>
        </p>
      )}
      <label>
        User
        <input name="username" autocomplete="username" autocapitalize="none" spellcheck={false} />
      </label>
      <label>
        Password or token
        <input name="password" type="password" autocomplete="current-password" />
      </label>
      <label class="check">
        <input name="keep" type="checkbox" /> keep it until this tab is closed
      </label>
      <button type="submit" class="main">
        Connect
      </button>
      <p class="quiet">
        Leave both empty if the broker lets everybody read, or knows you by a client certificate of your browser.
      </p>
    </form>
  );
}
