/** Names that people give to entries of a manifest. Pure. */

/** Letters, digits, `.`, `_` and `-`, at most 100: the name becomes part of a unit's name. */
export const isName = (name: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(name);
