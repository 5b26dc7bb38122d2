/**
 * Removes the parts of an engine's message that differ at each try: ids of containers, endpoints, processes and layers,
 * names of temporary files, local ports. Then the same failure has the same message each time, so that it is reported once,
 * and people see a name instead of an id. Pure.
 */

const ID = '[0-9a-f]{64}';
const UUID = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}';

const RULES: readonly [RegExp, string][] = [
  // `endpoint shop-web-1 (8464…)`: the name says it.
  [new RegExp(` ?\\((?:id:? ?)?(?:${ID}|${UUID})\\)`, 'g'), ''],
  // `is already in use by container "8464…"`
  [
    new RegExp(`\\b([Cc]ontainer|endpoint|exec|network|layer|process) (?:id )?"?(?:${ID}|[0-9a-f]{12})\\b"?`, 'g'),
    '$1',
  ],
  [new RegExp(`\\bsha256:${ID}\\b`, 'g'), 'sha256:…'],
  [new RegExp(`\\b(?:${ID}|${UUID})\\b`, 'g'), '…'],
  [/\/proc\/\d+\//g, '/proc/…/'],
  [/\b(pid|PID|process) \d+\b/g, '$1'],
  [/(\/tmp\/[A-Za-z-]*[A-Za-z-]|\/tmpmounts\/[A-Za-z-]+|\/snapshots\/)\d+/g, '$1…'],
  // Go, of a connection: `read udp 10.0.0.2:48213->10.0.0.1:53: i/o timeout`.
  [/\b(read|write) (tcp|udp)[46]? \S+->/g, '$1 $2 '],
  // The container's own address after the published one: `10.0.0.1:80:172.18.0.2:80/tcp`.
  [/(\d+(?:\.\d+){3}:\d+):\d+(?:\.\d+){3}:\d+(?=\/(?:tcp|udp|sctp))/g, '$1'],
  [/\b0x[0-9a-f]{6,}\b/g, '0x…'],
  // Go's crypto/x509 tells the time of this very moment.
  [/(current time \d{4}-\d\d-\d\d)T[\d:.]+(?:Z|[+-]\d\d:\d\d)/g, '$1'],
];

/** @param declared what people wrote, such as an image with its digest: ids that stand in it stay */
export function withoutIds(said: string, declared: string): string {
  return RULES.reduce(
    (text, [found, instead]) =>
      text.replace(found, (whole: string, ...groups: unknown[]) => {
        const [, id] = /([0-9a-f]{64}|[0-9a-f]{8}-[0-9a-f-]{27})/.exec(whole) ?? [];
        return id !== undefined && declared.includes(id)
          ? whole
          : instead.replace('$1', String(groups[0])).replace('$2', String(groups[1]));
      }),
    said,
  );
}
