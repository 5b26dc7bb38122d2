/** Connects to a broker through a websocket (MQTT 5.0, 6), for example behind a web server. */
import type { ClientRequest } from 'node:http';
import type { IClientOptions } from 'mqtt';

export interface WebsocketOptions {
  url: string;
  maxPacketBytes: number;
  /** The far end took the connection: TCP's handshake is over, and the request can go out. */
  taken(): void;
}

/** A broker may put several packets into one message of a websocket. */
const MIN_MESSAGE_BYTES = 1024 * 1024;

/** @returns nothing for a URL of another kind */
export const websocketOptions = ({
  url,
  maxPacketBytes,
  taken,
}: WebsocketOptions): Pick<IClientOptions, 'wsOptions' | 'transformWsUrl'> =>
  /^wss?:/.test(url)
    ? {
        // mqtt would put it together again, without the brackets of an IPv6 address.
        transformWsUrl: () => url,
        wsOptions: {
          // Compression keeps a window of memory for each direction, and packets are small.
          perMessageDeflate: false,
          // A whole message is kept until it is there, whatever packets are in it.
          maxPayload: Math.max(MIN_MESSAGE_BYTES, 2 * maxPacketBytes),
          finishRequest(request: ClientRequest) {
            request.once('socket', (socket) => {
              if (socket.connecting) socket.once('connect', taken);
              else taken();
            });
            request.end();
          },
        },
      }
    : {};
