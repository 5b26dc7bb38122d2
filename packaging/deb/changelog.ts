/** debian/changelog: deb-changelog(5). Changes for users are in NEWS.md; this only has the version. */

export const MAINTAINER = 'fairlead authors <fairlead@users.noreply.github.com>';

/** @param epoch seconds since 1970 of the commit */
export function changelogFor({ version, epoch }: { version: string; epoch: number }): string {
  const [weekday, day, month, year, time] = new Date(epoch * 1_000).toUTCString().replace(',', '').split(' ');
  return [
    `fairlead (${debVersion(version)}) unstable; urgency=medium`,
    '',
    `  * Version ${version}; /usr/share/doc/fairlead/NEWS.md.gz says what is new.`,
    '',
    ` -- ${MAINTAINER}  ${weekday}, ${day} ${month} ${year} ${time} +0000`,
    '',
  ].join('\n');
}

/** `1.2.0-rc.1` comes before `1.2.0`: deb-version(7), and rpm alike. */
export const debVersion = (version: string): string => version.replace('-', '~');
