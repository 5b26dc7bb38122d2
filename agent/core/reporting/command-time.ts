/** How far in the future `expires` of a command may lie, ms. Brokers do not keep commands, so nobody waits longer. */
export const MOST_AHEAD_MS = 3_600_000;
