/** Maximum processor time of one turn of the event loop, in milliseconds. */
export const STALL_MS = 1_000;
