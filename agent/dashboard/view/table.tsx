/** The table of hosts: only the rows that can be seen are in the page, and a row is drawn again only when it changed. */
import { observeWindowOffset, observeWindowRect, Virtualizer, windowScroll } from '@tanstack/virtual-core';
import { Component } from 'preact';
import { useLayoutEffect, useMemo, useReducer, useRef, useState } from 'preact/hooks';
import type { Judged } from '../model/judged.ts';
import { sentenceOf } from '../model/state.ts';
import { shortId } from '../model/words.ts';
import { Ago, Badge, Nav, Said } from './parts.tsx';

interface RowProps {
  judged: Judged;
  at: number;
  now: number;
}

class HostRow extends Component<RowProps> {
  override shouldComponentUpdate(next: RowProps): boolean {
    return next.judged !== this.props.judged || next.at !== this.props.at || next.now !== this.props.now;
  }
  override render({ judged, at, now }: RowProps) {
    const { row, state } = judged;
    const sentence = sentenceOf(row, state, now);
    return (
      <tr aria-rowindex={at + 2} class="host">
        <th scope="row">
          <Nav to={{ view: 'host', host: row.host }}>{row.host}</Nav>
        </th>
        <td class="c-state">
          <Badge state={state} />
        </td>
        <td class="c-what" title={sentence}>
          {sentence === '' ? (
            <span class="quiet">
              <Said text={row.subject} />
            </span>
          ) : (
            <Said text={sentence} />
          )}
        </td>
        <td class="c-commit">
          <code>{shortId(row.runs || row.commit)}</code>
        </td>
        <td class="c-at">
          <Ago at={row.at} now={now} />
        </td>
      </tr>
    );
  }
}

const COLUMNS = ['Host', 'State', 'What', 'Commit', 'Reported'] as const;
const WIDE_PX = 46;
const NARROW_PX = 96;
const NARROW = '(max-width: 44rem)';
/** Printed at most; more is no reading matter. */
const PRINTED = 2_000;

/** @param now for texts such as `3 min ago`, rounded, so that rows stay as they are in between */
export function HostTable({ hosts, now }: { hosts: readonly Judged[]; now: number }) {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const [isPrinting, setPrinting] = useState(false);
  const body = useRef<HTMLTableSectionElement>(null);
  const [margin, setMargin] = useState(0);
  const [rowPx, setRowPx] = useState(() => (matchMedia(NARROW).matches ? NARROW_PX : WIDE_PX));
  const options = {
    count: hosts.length,
    getScrollElement: () => window,
    estimateSize: () => rowPx,
    getItemKey: (at: number) => at,
    overscan: 8,
    scrollMargin: margin,
    scrollToFn: windowScroll,
    observeElementRect: observeWindowRect,
    observeElementOffset: observeWindowOffset,
    onChange: () => redraw(undefined),
  };
  const virtualizer = useMemo(() => new Virtualizer<Window, HTMLTableRowElement>(options), []);
  virtualizer.setOptions({ ...virtualizer.options, ...options });

  useLayoutEffect(() => virtualizer._didMount(), []);
  useLayoutEffect(() => {
    virtualizer._willUpdate();
    const top = Math.round((body.current?.getBoundingClientRect().top ?? 0) + window.scrollY);
    if (Math.abs(top - margin) > 1) setMargin(top);
  });
  useLayoutEffect(() => {
    const narrow = matchMedia(NARROW);
    const turned = () => {
      setRowPx(narrow.matches ? NARROW_PX : WIDE_PX);
      virtualizer.measure();
    };
    const before = () => setPrinting(true);
    const after = () => setPrinting(false);
    narrow.addEventListener('change', turned);
    window.addEventListener('beforeprint', before);
    window.addEventListener('afterprint', after);
    return () => {
      narrow.removeEventListener('change', turned);
      window.removeEventListener('beforeprint', before);
      window.removeEventListener('afterprint', after);
    };
  }, []);

  const items = virtualizer.getVirtualItems();
  const [from, to] = isPrinting
    ? [0, Math.min(hosts.length, PRINTED)]
    : [items[0]?.index ?? 0, (items.at(-1)?.index ?? -1) + 1];
  const shown = hosts.slice(from, to);
  const below = isPrinting ? 0 : Math.max(0, hosts.length - to) * rowPx;
  return (
    <table class="hosts" aria-rowcount={hosts.length + 1} aria-label="Hosts">
      <thead>
        <tr aria-rowindex={1}>
          {COLUMNS.map((name) => (
            <th key={name} scope="col">
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody ref={body}>
        {from > 0 && <tr class="space" style={{ height: `${from * rowPx}px` }} />}
        {shown.map((judged, i) => (
          <HostRow key={judged.row.host} judged={judged} at={from + i} now={now} />
        ))}
        {below > 0 && <tr class="space" style={{ height: `${below}px` }} />}
      </tbody>
    </table>
  );
}
