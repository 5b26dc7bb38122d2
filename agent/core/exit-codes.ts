/** Exit codes with a fixed meaning for every program that fairlead runs. */

/** EX_TEMPFAIL of sysexits.h: an outage; another attempt may succeed. */
export const TRY_AGAIN = 75;
