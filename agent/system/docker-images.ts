/** Images by the Engine API. */
import type Dockerode from 'dockerode';

export async function pullImage(docker: Dockerode, image: string): Promise<void> {
  const named = /@|:[^/]*$/.test(image) ? image : `${image}:latest`;
  const stream = await docker.pull(named);
  await new Promise<void>((resolve, reject) => {
    docker.modem.followProgress(stream, (error: Error | null, lines?: { error?: string }[]) => {
      const failed = error ?? lines?.find((line) => line.error)?.error;
      if (failed) reject(failed instanceof Error ? failed : new Error(failed));
      else resolve();
    });
  });
}
