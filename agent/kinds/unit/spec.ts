/** A resolved entry of `units`. */
export interface UnitSpec {
  name: string;
  /** Text of the unit file in /etc/systemd/system; undefined if only the state of an existing unit is declared. */
  content?: string;
  /** File name → text, in /etc/systemd/system/NAME.d. */
  dropins?: Readonly<Record<string, string>>;
  enabled?: boolean;
  masked?: boolean;
  state?: 'started' | 'stopped';
  onChange: 'restart' | 'reload' | 'none';
  /** The entry itself says `on_change: restart`: then a oneshot that remains active is stopped and runs again as well. */
  restartsRemaining?: true;
  /** The content is secret: show neither it nor its plain hash. */
  secret?: boolean;
}
