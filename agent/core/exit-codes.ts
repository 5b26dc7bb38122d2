/** Exit codes that say whose turn it is, whatever program ended with them. */

/** EX_TEMPFAIL of sysexits.h: an outage, and another try may succeed. */
export const TRY_AGAIN = 75;
