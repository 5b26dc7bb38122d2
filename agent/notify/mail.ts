/** Sends a message by mail, over SMTP. Loaded only where a destination asks for it. */
import { isReadable } from '../../manifests-schema/plain-credentials.ts';
import type { Note } from './model/text.ts';

export interface MailOptions {
  /** smtps:// or smtp:// */
  url: string;
  from: string;
  to: readonly string[];
  login: { username: string; password: string } | null;
  ca?: string | undefined;
  /** The connection may stay without encryption. */
  insecure: boolean;
  timeoutMs: number;
}

/** Throws what the server or the network says. `code` and `responseCode` are nodemailer's. */
export async function sendMail(options: MailOptions, { id, note }: { id: string; note: Note }): Promise<void> {
  const { createTransport } = await import('nodemailer');
  const { protocol, hostname, port } = new URL(options.url);
  const secure = protocol === 'smtps:';
  // On loopback nobody listens on the way.
  const isOpen = options.insecure || !isReadable(`http://${hostname}`);
  const transport = createTransport({
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? (secure ? 465 : 587) : Number(port),
    secure,
    requireTLS: !secure && !isOpen,
    connectionTimeout: options.timeoutMs,
    greetingTimeout: options.timeoutMs,
    socketTimeout: options.timeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
    ...(options.login === null ? {} : { auth: { user: options.login.username, pass: options.login.password } }),
    // If no encryption is required, encryption with an unverified certificate is no worse.
    tls: { rejectUnauthorized: !isOpen, ...(options.ca === undefined ? {} : { ca: options.ca }) },
  });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const totalMs = 3 * options.timeoutMs;
    timer = setTimeout(() => reject(new Error(`not done within ${totalMs / 1_000} s`)), totalMs);
  });
  try {
    const sending = transport.sendMail({
      from: options.from,
      to: [...options.to],
      subject: note.title,
      text: `${[note.title, '', ...note.lines].join('\n')}\n`,
      // The same whenever it is sent again, so that programs can tell (RFC 5322, 3.6.4).
      messageId: `<${id}@${options.from.slice(options.from.indexOf('@') + 1)}>`,
      // RFC 3834: nobody's absence is to be answered.
      headers: { 'Auto-Submitted': 'auto-generated' },
    });
    sending.catch(() => undefined);
    await Promise.race([sending, late]);
  } finally {
    clearTimeout(timer);
    transport.close();
  }
}
