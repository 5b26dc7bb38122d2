/** `fairlead fleet relay`: runs until a signal. */
import { type Context, EXIT } from '../context.ts';

export const RELAY_FILE = '/etc/fairlead/relay.yaml';

export async function fleetRelay(
  c: Context,
  file: string = RELAY_FILE,
  { check = false }: { check?: boolean } = {},
): Promise<number> {
  const { fleet } = await c.deps.relay(file, { check });
  if (check) c.print({ schema: 1, fleet, valid: true }, () => `${file} is right: a relay for fleet ${fleet}.`);
  return EXIT.ok;
}
