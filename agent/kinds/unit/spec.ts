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
  /** The content is secret: show neither it nor its plain hash. */
  secret?: boolean;
}
