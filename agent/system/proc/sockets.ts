/** Sockets of a process's network namespace, as proc(5) shows them. */
import { statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

/** States of tcp(7) in which nothing is lost: TIME_WAIT and CLOSE. */
const OVER = ['06', '07'];

/**
 * Whether anything there holds an address of its own, other than loopback: a connection, or a socket bound to it.
 * @param process the process's directory, `/proc/<pid>`; one that cannot be read counts as one that does
 */
export async function holdsAddress(process: string): Promise<boolean> {
  try {
    const tables = ['tcp', 'tcp6', 'udp', 'udp6'].map((name) =>
      // Without IPv6 there is no such table.
      readFile(`${process}/net/${name}`, 'utf8').catch((thrown: unknown) => {
        if (name.endsWith('6')) return '';
        throw thrown;
      }),
    );
    return (await Promise.all(tables)).some((table, i) => isHeld(table, i < 2));
  } catch {
    return true;
  }
}

/** Lines of `sl local_address rem_address st …`; addresses in hexadecimal, each four bytes as the machine has them. */
function isHeld(table: string, isTcp: boolean): boolean {
  return table
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .some(([, local = '', , state = '']) => {
      const address = local.split(':')[0] ?? '';
      return address !== '' && !(isTcp && OVER.includes(state)) && !isAnywhere(address);
    });
}

/** The wildcard address, 127.0.0.0/8, ::1, and 127.0.0.0/8 written as IPv6. */
const isAnywhere = (address: string): boolean =>
  /^0+$/.test(address) ||
  /^([0-9A-F]{6}7F|7F[0-9A-F]{6})$/.test(address) ||
  /^0{24}(01000000|00000001)$/.test(address) ||
  /^0{16}(FFFF0000|0000FFFF)([0-9A-F]{6}7F|7F[0-9A-F]{6})$/.test(address);

/** State of tcp(7) in which a socket takes connections, and of udp(7) in which it takes packets. */
const LISTENS: Readonly<Record<string, string>> = { tcp: '0A', udp: '07' };

/**
 * Ports on which somebody listens in a network namespace, as `tcp/80`; those of one address alone are left out.
 * @param process the directory of a process in it, `/proc/<pid>`; what cannot be read there is nobody's
 */
export async function listeningPorts(process: string): Promise<ReadonlySet<string>> {
  const tables = await Promise.all(
    ['tcp', 'tcp6', 'udp', 'udp6'].map(async (name) => {
      const protocol = name.slice(0, 3);
      const table = await readFile(`${process}/net/${name}`, 'utf8').catch(() => '');
      return table
        .split('\n')
        .slice(1)
        .map((line) => line.trim().split(/\s+/))
        .flatMap(([, local = '', , state = '']) => {
          const [address = '', port = ''] = local.split(':');
          return state === LISTENS[protocol] && /^0+$/.test(address)
            ? [`${protocol}/${Number.parseInt(port, 16)}`]
            : [];
        });
    }),
  );
  return new Set(tables.flat());
}

/** When a unix socket was made, in milliseconds of the wall clock; null if it is not there. */
export const socketSince = (path: string): number | null => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? null;
