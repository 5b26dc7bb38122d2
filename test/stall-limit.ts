/** What one turn of the event loop may take of its thread's processor time, in milliseconds. */
export const STALL_MS = 1_000;
