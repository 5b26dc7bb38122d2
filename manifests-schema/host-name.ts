/** The name of a host: RFC 1123, in lower case. Without a library, since a page in a browser reads it, too. */

export const HOST_NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;

/** By RFC 1123, in lower case. */
export const isHostName = (name: string): boolean => HOST_NAME.test(name);
