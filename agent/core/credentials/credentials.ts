/**
 * Credentials that people write where everybody can read them: options of drivers, URLs, commands, labels, variables. Reports
 * of desired and actual state leave them out. Pure.
 */
import { isCredential, isCredentialName, isCredentialParameter } from './credential-names.ts';

export const MASK = '(secret)';

/** Takes a credential and returns what is shown in its place. */
type Swap = (credential: string) => string;

const MAX_DEPTH = 50;
/** A text that matches none of these contains no credential. */
const HINTS =
  /pass|pwd|pw=|secret|token|key|auth|cred|psk|jwt|salt|cookie|bearer|sig=|:\/\/|@(tcp|unix)\(|(^|\s)-[a-z]*[pau]|gh[pousr]_|glpat-|xox|hvs\./i;

/** The same text or plain data, with `(secret)` in place of each credential. @param key the key that holds the value */
export const withoutCredentials = <T>(value: T, key = ''): T => replaced(value, key, () => MASK, 0) as T;

/** The same for the output of a program, which may begin with anything. */
export const textWithoutCredentials = (text: string): string => inText(text, () => MASK);

/** Every credential in a text or in plain data. */
export function credentialsIn(value: unknown, key = ''): string[] {
  const found = new Set<string>();
  const note: Swap = (credential) => {
    found.add(credential);
    return MASK;
  };
  replaced(value, key, note, 0);
  return [...found];
}

function replaced(value: unknown, key: string, swap: Swap, depth: number): unknown {
  if (typeof value === 'string') return inString(value, key, swap);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (depth > MAX_DEPTH) return MASK;
  if (Array.isArray(value)) {
    if (value.every((item) => typeof item === 'string')) return inArguments(value, swap, key);
    return value.map((item) => replaced(item, key, swap, depth + 1));
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, replaced(item, name, swap, depth + 1)]));
}

/** @param key an option, a variable, a label, or the field of a difference: `driver_opts.o`, `labels.app.token` */
function inString(text: string, key: string, swap: Swap): string {
  if (isCredentialName(key)) return isCredential(text) && !text.includes(MASK) ? swap(text) : text;
  if (!HINTS.test(text)) return text;
  // mount(8): options in one text, separated by commas.
  if (/(^|\.)o$/.test(key) || /^[\w.-]+=[^,\s]*(,[\w.-]+(=[^,\s]*)?)+,?$/.test(text.slice(0, 4_096)))
    return text
      .split(',')
      .map((option) => inOption(option, swap))
      .join(',');
  return inOption(text, swap);
}

/** `NAME=value` as a whole: the value may contain anything. */
function inOption(text: string, swap: Swap): string {
  const [, start = '', name = '', value = ''] = /^((-{0,2}[A-Za-z_][\w.-]*)=)(.*)$/s.exec(text) ?? [];
  return isCredentialName(name) && isCredential(value) ? start + swap(value) : inText(text, swap);
}

/** A command, as the list of its arguments. */
function inArguments(items: readonly string[], swap: Swap, key = ''): string[] {
  const program = (items.find((item) => !item.startsWith('-') && !item.includes('=')) ?? '').split('/').at(-1) ?? '';
  return items.map((item, i) => inArgument(item, { before: items[i - 1] ?? '', program, key }, swap));
}

interface Around {
  before: string;
  program: string;
  key: string;
}

/** A flag with a long name, unlike a one-letter flag with its value attached. */
const NAMED_FLAG = /^(--[\w.-]+|-(?!p)[A-Za-z][\w-]{2,}|-p(ass\w*|wd))$/;

/** Programs whose `-p` is a password. */
const PASSWORD_P = /^(mysql|mariadb|mongo|sshpass|docker|podman|oc|vault|smbclient)/;

function inArgument(item: string, { before, program, key }: Around, swap: Swap): string {
  const take = (value: string) => (isCredential(value) ? swap(value) : value);
  if (/^(-c|CMD-SHELL)$/.test(before)) return inText(item, swap);
  if (/^--?[a-z]/i.test(before) && !before.includes('=') && !/^(-|[|&;<>]+$)/.test(item)) {
    if (NAMED_FLAG.test(before) && isCredentialName(before)) return take(item);
    if (before === '-p' && isPassword(item, program)) return take(item);
    if (before === '-a' && program.startsWith('redis')) return take(item);
    if (before === '-P' && program.startsWith('mosquitto')) return take(item);
    if (/^(-u|--user)$/.test(before) && /:/.test(item) && !/^\d+:\d+$/.test(item))
      return item.replace(/:(.*)$/s, (_, value: string) => `:${take(value)}`);
    const [, name = '', value = ''] = /^([\w-]+):\s*(?:(?:Bearer|Basic|Token)\s+)?(.+)$/is.exec(item) ?? [];
    if (/^(-H|--header)$/.test(before) && isCredentialName(name))
      return item.slice(0, item.length - value.length) + take(value);
  }
  const attached = /^-p([^-=\s].*)$/s.exec(item)?.[1];
  if (attached !== undefined && isPassword(attached, program)) return `-p${take(attached)}`;
  return inString(item, key, swap);
}

/** Ports, paths and plain words are no passwords, except for programs that take a password there. */
const isPassword = (value: string, program: string): boolean =>
  (/^(mysql|mariadb|sshpass)/.test(program) && value !== '') ||
  (PASSWORD_P.test(program) && !/^[\d.:/-]+(tcp|udp|sctp)?$/.test(value) && !/^\d/.test(value)) ||
  !(/^[\d.:/-]+(tcp|udp|sctp)?$/.test(value) || /^[./~$]/.test(value) || /^[a-z-]*$/.test(value));

/** Words of a command line; a quoted one is one word. */
const WORD = /"(?:[^"\\]|\\.){0,2000}"|'[^']{0,2000}'|[^\s"']+(?:"(?:[^"\\]|\\.){0,2000}"|'[^']{0,2000}')?|["']/g;
/** Texts up to this length (in characters) are parsed as command lines; longer ones are the output of programs. */
const MAX_LINE = 16 * 1024;

/** A command line, or the output of a program. */
function inText(text: string, swap: Swap): string {
  if (!HINTS.test(text)) return text;
  const plain = inPatterns(text, swap);
  const words = plain.length > MAX_LINE ? [] : [...plain.matchAll(WORD)];
  if (words.length < 2) return plain;
  const bare = words.map(([word]) => word.replace(/^(["'])(.*)\1$/s, '$2'));
  const program = programOf(bare);
  let out = '';
  let done = 0;
  for (const [i, { index, 0: word }] of words.entries()) {
    const item = bare[i] ?? '';
    const quote = word.length === item.length + 2 ? word[0] : '';
    const swapped = isFlagged(item, bare[i - 1] ?? '')
      ? inArgument(item, { before: bare[i - 1] ?? '', program, key: '' }, swap)
      : item;
    out += `${plain.slice(done, index)}${quote}${swapped}${quote}`;
    done = index + word.length;
  }
  return out + plain.slice(done);
}

/** Only flags, and the words after a flag, need more than the patterns. */
const isFlagged = (item: string, before: string): boolean => /^-/.test(item) || /^--?[a-z]/i.test(before);

/** The first word that is a program whose flags are known, anywhere in a line of several commands. */
const programOf = (words: readonly string[]): string =>
  words
    .map((word) => word.split('/').at(-1) ?? '')
    .find((word) => /^(mysql|mariadb|mongo|sshpass|redis|mosquitto|docker|podman)/.test(word)) ?? '';

/** `name=` and `"name":` in the middle of a text. */
const NAME = /(?<![\w.-])(-{0,2}[A-Za-z_][\w.-]{0,80})(?:=|\\?["']\s{0,4}[:=]\s{0,4})/g;
const USER_INFO = /([a-z][a-z0-9+.-]{1,30}:\/\/[^\s/?#"'<>@:]{0,200}:)([^\s/?#"'<>@]{1,500})@/gi;
/** The same, if the password has characters that should have been escaped. */
const LOOSE_USER_INFO = /([a-z][a-z0-9+.-]{1,30}:\/\/[^\s/?#"'<>@:]{0,200}:)([^\s"'<>(]{1,500})@/gi;
const LONE_USER = /(https?:\/\/)([^\s/?#"'<>@:()]{8,500})@/gi;
const DSN = /((?<![\w/])[\w.-]{1,100}:)([^\s@"'<>/(]{1,500})@(?=(?:tcp|unix)\()/g;
const PARAMETER = /([?&])([\w.-]{1,60})=([^&#\s"'<>;]{1,2000})/g;
const SCHEME = /\b((?:Bearer|Basic)\s+)([\w.~+/=-]{8,})/g;
/** Tokens that can be recognised by their prefix. */
const TOKEN =
  /\b(gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{15,}|xox[abprs]-[\w-]{10,}|hvs\.[\w-]{15,}|AGE-SECRET-KEY-1[0-9A-Z]{50,}|eyJ[\w-]{10,}\.eyJ[\w-]{5,}\.[\w-]{5,})/g;

/** The name decides whether its value is examined: `user=a,password=b` has two names. */
function inAssignments(text: string, swap: Swap): string {
  let out = '';
  let done = 0;
  for (const { 0: start, 1: name = '', index } of text.matchAll(NAME)) {
    const at = index + start.length;
    if (index < done || !isCredentialName(name)) continue;
    const quoted = /^(\\?"|')/.exec(text.slice(at, at + 2))?.[0] ?? '';
    const from = at + quoted.length;
    const value = quoted === '' ? unquotedAt(text, from) : quotedAt(text, from, quoted);
    if (!isCredential(value)) continue;
    out += text.slice(done, from) + swap(value);
    done = from + value.length;
  }
  return out + text.slice(done);
}

function quotedAt(text: string, from: number, quote: string): string {
  const end = text.indexOf(quote, from);
  return text.slice(from, end < 0 ? text.length : end);
}

/** Maximum length of a value without quotes, in characters. */
const MAX_VALUE = 4_096;

/** The value up to the next blank or quote, without the punctuation of the surrounding sentence. */
function unquotedAt(text: string, from: number): string {
  return (/^[^\s"'`&;|<>\\]+/.exec(text.slice(from, from + MAX_VALUE))?.[0] ?? '').replace(/[),.:;\]}]{1,20}$/, '');
}

function inPatterns(text: string, swap: Swap): string {
  const take = (start: string, value: string, end: string) =>
    isCredential(value) && !/^\d{1,5}([/?]|$)/.test(value) ? `${start}${swap(value)}${end}` : null;
  return inAssignments(text, swap)
    .replace(USER_INFO, (all, start: string, value: string) => take(start, value, '@') ?? all)
    .replace(LOOSE_USER_INFO, (all, start: string, value: string) => take(start, value, '@') ?? all)
    .replace(LONE_USER, (all, start: string, value: string) => take(start, value, '@') ?? all)
    .replace(DSN, (all, start: string, value: string) => take(start, value, '@') ?? all)
    .replace(PARAMETER, (all, mark: string, name: string, value: string) =>
      isCredentialParameter(name) ? (take(`${mark}${name}=`, value, '') ?? all) : all,
    )
    .replace(SCHEME, (all, start: string, value: string) => take(start, value, '') ?? all)
    .replace(TOKEN, (value) => swap(value));
}

/** Whether a text is distinctive enough to be masked wherever it occurs: `postgres` is a common name as well. */
export const isDistinctive = (credential: string): boolean =>
  credential.length >= 12 || (credential.length >= 6 && /[^A-Za-z]/.test(credential));

/** Shown in place of a credential that changed. */
export const CHANGED = '(secret changed)';

/** A difference that is safe to show. @param shown prints and may shorten a value, from which all credentials are removed */
export function difference(field: string, given: { from: unknown; to: unknown }, shown: (value: unknown) => string) {
  const from = shown(withoutCredentials(given.from, field));
  const to = shown(withoutCredentials(given.to, field));
  const [before, after] = [credentialsIn(given.from, field), credentialsIn(given.to, field)];
  const isSame = before.length === after.length && before.every((one) => after.includes(one));
  if (isSame || after.length === 0) return { field, from, to };
  return { field, from, to: to.includes(MASK) ? to.replaceAll(MASK, CHANGED) : `${to} ${CHANGED}` };
}
