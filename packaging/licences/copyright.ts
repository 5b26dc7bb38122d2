/** debian/copyright in its machine-readable form (https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/). */
import type { Component } from './components.ts';

/** Text in a field as Debian's policy requires: indented, with a full stop on each empty line. */
const field = (text: string): string =>
  text
    .trimEnd()
    .split(/\r?\n/)
    // Control characters and tabs of old files.
    .map((line) =>
      line
        .replaceAll('\t', '        ')
        .replaceAll(/\p{Cc}/gu, '')
        .trimEnd(),
    )
    .map((line) => (line === '' ? ' .' : ` ${line}`))
    .join('\n');

const isApache = (text: string): boolean => /Apache License\s+Version 2\.0, January 2004/.test(text);

const holdersIn = (text: string): string[] =>
  text
    .split(/\r?\n/)
    .map((line) => line.replace(/^[#*\s]+/, '').trim())
    .filter((line) => /^copyright\b.*\d|^copyright \(c\)/i.test(line))
    .slice(0, 5);

/** Debian has this text once for all packages; elsewhere it is a file beside this one. */
const APACHE = `Licensed under the Apache License, Version 2.0: http://www.apache.org/licenses/LICENSE-2.0
On Debian systems its text is in /usr/share/common-licenses/Apache-2.0; it is also in apache-2.0.txt.gz beside this file.
`;

/** @returns the whole file */
export function copyrightFile(components: readonly Component[]): string {
  const paragraphs = components.map(({ name, version, licence, text }) =>
    [
      `Files: ${name}`,
      `Comment: ${name} ${version}, a part of the program`,
      `Copyright: ${holdersIn(text).join('\n ') || `the authors of ${name}`}`,
      // Two packages may have the same licence with different words and names in it.
      `License: ${licence.replaceAll(/[()]/g, '').replaceAll(' AND ', '-and-')}-of-${name.replaceAll(/[@/]/g, '-')}`,
      field(isApache(text) ? APACHE : text),
    ].join('\n'),
  );
  return [
    'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: fairlead\nSource: https://github.com/fairlead/fairlead',
    `Files: *\nCopyright: the fairlead authors\nLicense: Apache-2.0\n${field(APACHE)}`,
    ...paragraphs,
    '',
  ].join('\n\n');
}
