/** `service:NAME`, as `network_mode`, `pid`, `ipc` and others name the service whose namespace is shared. Pure. */

const PREFIX = 'service:';

/** @returns the service that is named, or undefined if the mode names none */
export const sharedWith = (mode: string | undefined): string | undefined =>
  mode?.startsWith(PREFIX) ? mode.slice(PREFIX.length) : undefined;
