/** Order among units, and between mount points and files below them, that nobody has to declare. Pure. */
import type { Drafts } from '../../core/kind.ts';
import { isWithin } from '../../core/names/reserved-paths.ts';
import type { Desired, ResourceId } from '../../core/types.ts';
import type { UnitSpec } from './spec.ts';

export function unitEdges({ id, spec }: Desired<UnitSpec>, all: Drafts): void {
  const { name } = spec;
  const instance = /^(.*)@[^@]+(\.[a-z]+)$/.exec(name);
  const template = instance && all.get(`unit:${instance[1]}@${instance[2]}`);
  if (template) {
    // A changed template changes each of its instances.
    const { onChange } = template.spec as UnitSpec;
    if (onChange === 'none') all.add(id, 'after', template.id);
    else all.add(template.id, onChange === 'reload' ? 'reload' : 'notify', id);
  }
  // systemd does not start a socket if its service already runs.
  const socket: ResourceId = `unit:${name.replace(/\.service$/, '.socket')}`;
  if (name.endsWith('.service') && socket !== id) all.add(id, 'after', socket);
  if (!name.endsWith('.mount') || spec.state !== 'started') return;
  const point = mountPoint(name);
  for (const other of all.placed())
    if (other.path !== point && isWithin(other.path, point)) all.add(other.id, 'after', id);
}

/** Reverses systemd-escape(1): `mnt-data.mount` → `/mnt/data`. */
export function mountPoint(name: string): string {
  const escaped = name.slice(0, -'.mount'.length);
  if (escaped === '-') return '/';
  const path = escaped
    .split('-')
    .join('/')
    .replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return `/${path}`;
}
