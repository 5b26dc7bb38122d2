/** The short form of a port, as the engine's own tools read it. Pure. */
export interface Port {
  target: number;
  protocol: string;
  published: string;
  hostIp: string;
}

export class PortError extends Error {}

/** The parts of a short form, before it is expanded. */
export interface PortRange {
  inner: { first: number; last: number };
  /** null lets the engine choose. */
  outer: { first: number; last: number } | null;
  protocol: string;
  hostIp: string;
}

/** `[[IP:]PUBLISHED:]TARGET[/PROTOCOL]`, ranges included. @throws PortError */
export function parsePorts(text: string): PortRange {
  const parts = text.split(':');
  const container = parts.pop() ?? '';
  const published = parts.pop() ?? '';
  const ip = parts.join(':');
  const [ports = '', second] = container.split('/');
  const protocol = ports === '' ? '' : (second || 'tcp').toLowerCase();
  if (ip !== '' && !isAddress(ip)) throw new PortError(`\`${ip}\` is not an IP address`);
  if (ports === '') throw new PortError('it names no container port');
  const inner = range(ports);
  const outer = published === '' ? null : range(published);
  if (outer && outer.last - outer.first !== inner.last - inner.first && inner.first !== inner.last)
    throw new PortError(`the ranges ${published} and ${ports} are not of the same length`);
  if (!['tcp', 'udp', 'sctp'].includes(protocol)) throw new PortError(`\`${protocol}\` is not tcp, udp or sctp`);
  return { inner, outer, protocol, hostIp: ip.replace(/^\[([\s\S]*)\]$/, '$1') };
}

export const countPorts = ({ inner }: PortRange): number => inner.last - inner.first + 1;

/** One entry for each container port, sorted by its text. */
export function writePorts(range: PortRange): Port[] {
  const { inner, outer, protocol, hostIp } = range;
  const dynamic = outer && inner.first === inner.last && outer.first !== outer.last;
  const ports = Array.from({ length: countPorts(range) }, (_, i): Port => {
    const published = outer ? String(outer.first + i) : '';
    const shown = dynamic ? `${published}-${outer.last}` : published;
    return { target: inner.first + i, protocol, published: shown, hostIp };
  });
  return ports.sort((a, b) => (`${a.target}/` < `${b.target}/` ? -1 : 1));
}

function range(text: string): { first: number; last: number } {
  const [from = '', to = from] = text.split('-');
  const numberOf = (digits: string) => (/^\d+$/.test(digits) ? Number(digits) : Number.NaN);
  const first = numberOf(from);
  const last = numberOf(to);
  if (!(first <= 65_535 && last <= 65_535)) throw new PortError(`\`${text}\` is not a port or a range of ports`);
  if (last < first) throw new PortError(`the range ${text} ends before it begins`);
  return { first, last };
}

/** IPv4, or IPv6 in brackets. */
export function isAddress(text: string): boolean {
  const four = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text.replace(/^\[(.*)\]$/, '$1'));
  if (four) return four.slice(1).every((part) => Number(part) < 256 && !/^0\d/.test(part));
  const six = /^\[([0-9a-fA-F:.]+)\]$/.exec(text)?.[1];
  if (six === undefined || (six.match(/::/g) ?? []).length > 1 || six.includes(':::')) return false;
  const groups = six.split(':').filter((group) => group !== '');
  const size = groups.reduce((sum, group) => sum + (group.includes('.') ? 2 : 1), 0);
  return (
    groups.every((g) => /^[0-9a-fA-F]{1,4}$/.test(g) || /^\d+\.\d+\.\d+\.\d+$/.test(g)) &&
    (six.includes('::') ? size < 8 : size === 8)
  );
}
