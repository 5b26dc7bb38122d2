/** The user that was typed in: in memory, and in the session of this browser tab only where that was asked for. */

export interface Credentials {
  /** Websocket URL of the broker, if `config.json` names none. */
  broker: string;
  username: string;
  password: string;
}

export interface Keep {
  load(): Credentials | null;
  save(credentials: Credentials): void;
  forget(): void;
}

const KEY = 'fairlead-credentials';

/** @param storage that ends with the tab; absent where the browser gives none */
export const createKeep = (storage: Storage | null): Keep => ({
  load() {
    try {
      const { broker, username, password } = JSON.parse(storage?.getItem(KEY) ?? 'null') as Credentials;
      return { broker, username, password };
    } catch {
      return null;
    }
  },
  save(credentials) {
    storage?.setItem(KEY, JSON.stringify(credentials));
  },
  forget() {
    storage?.removeItem(KEY);
  },
});

/** A page that may not keep anything works without it. */
export function sessionOf(page: { readonly sessionStorage: Storage }): Storage | null {
  try {
    return page.sessionStorage;
  } catch {
    return null;
  }
}
