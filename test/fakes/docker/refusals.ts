/** Errors as the engine's client throws them. */

/** @param reason the client's own word for the status @param said the message of the Docker engine */
export function refusal(statusCode: number, reason: string, said: string): Error {
  const message = `(HTTP code ${statusCode}) ${reason} - ${said} `;
  return Object.assign(new Error(message), { statusCode, reason, json: { message: said } });
}

/** Nothing listens at the Docker engine's socket. */
export const noAnswer = (): Error =>
  Object.assign(new Error('connect ECONNREFUSED /run/docker.sock'), { code: 'ECONNREFUSED' });

export const conflict = (said: string): Error => refusal(409, 'unexpected', said);
export const serverError = (said: string): Error => refusal(500, 'server error', said);
