/** A resolved entry of `units`. */
export interface UnitSpec {
  name: string;
  /** Text of the unit file in /etc/systemd/system; undefined where only the state of an existing unit is declared. */
  content?: string;
  /** File name → text, in /etc/systemd/system/NAME.d. */
  dropins?: Readonly<Record<string, string>>;
  enabled?: boolean;
  masked?: boolean;
  state?: 'started' | 'stopped';
  onChange: 'restart' | 'reload' | 'none';
  /** `on_change: restart` stands in the entry itself: then a oneshot that remains active is stopped and runs anew as well. */
  restartsRemaining?: true;
  /** The content is secret: show neither it nor its plain hash. */
  secret?: boolean;
}
