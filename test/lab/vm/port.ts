/** A free port of the loopback interface. */
import net from 'node:net';

/** @returns a port that was free a moment ago; a caller that finds it in use must try another one */
export async function createPort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
