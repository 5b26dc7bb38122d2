import { open } from 'node:fs/promises';

/** All of a file but its name is durable when this resolves: whoever reads it elsewhere renames it afterwards. Root's own. */
export async function writeDurable(file: string, content: string | Iterable<Uint8Array>): Promise<void> {
  const handle = await open(file, 'w', 0o600);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
