/** The state of many units in one call (org.freedesktop.systemd1(5), ListUnitsByNames), some of which may be asked by an alias. */

/** The unit's own name, description, load, active, sub, the unit that it follows, and its object path; then its job. */
export type RawUnitRow = readonly [
  id: string,
  description: string,
  load: string,
  active: string,
  sub: string,
  following: string,
  path: string,
  ...job: unknown[],
];

/** systemd refuses the whole call if one of the names is a template, which is no unit. */
const isTemplate = (name: string): boolean => /@\.[a-z]+$/.test(name);

/**
 * A row carries the unit's own name: `ssh.service` if `sshd.service` was asked. systemd answers in the order of the names and
 * leaves out only invalid ones, so a row belongs to the name at its place.
 * @param list calls ListUnitsByNames @returns the row of each name; none for a template or an invalid name
 */
export async function rowsByName(
  names: readonly string[],
  list: (names: string[]) => Promise<readonly RawUnitRow[]>,
): Promise<Map<string, RawUnitRow>> {
  const units = names.filter((name) => !isTemplate(name));
  const rows = units.length === 0 ? [] : await list(units);
  if (rows.length === units.length) return new Map(rows.map((row, i) => [units[i] ?? row[0], row]));
  const found = new Map(rows.map((row) => [row[0], row]));
  const missing = units.filter((name) => !found.has(name));
  await Promise.all(
    missing.map(async (name) => {
      const [row] = await list([name]);
      if (row !== undefined) found.set(name, row);
    }),
  );
  return found;
}
