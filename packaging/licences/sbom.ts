/** The software bill of materials, CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/). */
import { createHash } from 'node:crypto';
import type { Component } from './components.ts';

export interface Bill {
  version: string;
  /** The package's architecture in npm's terms: x64, arm64. */
  arch: string;
  /** Seconds since 1970 of the commit; the time of the content, so that two builds are equal. */
  epoch: number;
  components: readonly Component[];
}

const SPDX_ID = /^[\w.+-]+$/;

/** @returns the document; the same for the same input */
export function billOfMaterials({ version, arch, epoch, components }: Bill): object {
  const listed = components.map(({ name, version: of, licence, integrity, purl }) => ({
    type: name === 'node' ? 'platform' : 'library',
    'bom-ref': purl,
    name,
    version: of,
    ...(integrity ? { hashes: [{ alg: 'SHA-512', content: hexOf(integrity) }] } : {}),
    licenses: [
      SPDX_ID.test(licence) ? { license: { id: licence } } : { expression: licence.replaceAll(/^\(|\)$/g, '') },
    ],
    purl,
  }));
  const self = `pkg:generic/fairlead@${version}?arch=${arch}`;
  const body = {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      timestamp: new Date(epoch * 1_000).toISOString(),
      component: {
        type: 'application',
        'bom-ref': self,
        name: 'fairlead',
        version,
        licenses: [{ license: { id: 'Apache-2.0' } }],
        purl: self,
      },
    },
    components: listed,
    dependencies: [{ ref: self, dependsOn: listed.map(({ purl }) => purl) }],
  };
  const hash = createHash('sha256').update(JSON.stringify(body)).digest('hex');
  // A UUID of version 8: a hash of the content, so that the same document has the same number (RFC 9562).
  const uuid = `${hash.slice(0, 8)}-${hash.slice(8, 12)}-8${hash.slice(13, 16)}-a${hash.slice(17, 20)}-${hash.slice(20, 32)}`;
  return { $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json', serialNumber: `urn:uuid:${uuid}`, ...body };
}

const hexOf = (integrity: string): string => Buffer.from(integrity.replace(/^sha512-/, ''), 'base64').toString('hex');
