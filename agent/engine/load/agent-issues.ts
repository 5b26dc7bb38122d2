/** Issues of the agent version that a commit wants (`agent` of host.yaml and its layers). Pure, given the hash. */

import type { Sha256 } from '../../core/payload/hash.ts';
import { contentOf, StoredFile } from '../../core/payload/payload.ts';
import type { LayerCache } from '../../core/render/layers.ts';
import type { Checkout, Issue } from '../../core/types.ts';
import { packageIssues, readWantedAgent } from '../../core/version/agent-wanted.ts';

/** @param cache holds the digests of packages, which many hosts share */
export function agentIssues({ files, hostPath }: Checkout, cache: LayerCache, sha256: Sha256): Issue[] {
  const { wanted, issues } = readWantedAgent(files, hostPath);
  if (wanted === null) return issues;
  return packageIssues(wanted, (file) => {
    const known = cache.digests.get(file);
    if (known !== undefined) return known;
    const content = contentOf(files, file);
    const digest = content === undefined ? null : content instanceof StoredFile ? content.sha256 : sha256(content);
    cache.digests.set(file, digest);
    return digest;
  });
}
