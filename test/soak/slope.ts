/** A straight line through measurements, and its uncertainty. */

export interface Slope {
  /** Change of y for one of x. */
  slope: number;
  /** The 95 % confidence interval. */
  low: number;
  high: number;
}

/** Student's t, two-sided 95 %, by degrees of freedom; above the last one, that of the normal distribution. */
const T = [
  12.71, 4.3, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.2, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.1, 2.09, 2.09,
];

/**
 * Ordinary least squares. Measurements of memory are autocorrelated: neighbours on the same side of the line count for less
 * (effective sample size by the first autocorrelation of the residuals), so the interval is honest.
 */
export function slopeOf(points: readonly { x: number; y: number }[]): Slope {
  const n = points.length;
  const mean = (values: readonly number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;
  const [mx, my] = [mean(points.map((p) => p.x)), mean(points.map((p) => p.y))];
  const sxx = points.reduce((sum, { x }) => sum + (x - mx) ** 2, 0);
  const slope = points.reduce((sum, { x, y }) => sum + (x - mx) * (y - my), 0) / sxx;
  const off = points.map(({ x, y }) => y - my - slope * (x - mx));
  const squares = off.reduce((sum, e) => sum + e * e, 0);
  const together = off.slice(1).reduce((sum, e, i) => sum + e * (off[i] ?? 0), 0);
  const r = squares === 0 ? 0 : Math.min(0.95, Math.max(0, together / squares));
  const effective = Math.max(3, (n * (1 - r)) / (1 + r));
  const error = Math.sqrt(squares / (effective - 2) / sxx);
  const t = T[Math.floor(effective - 2) - 1] ?? 1.97;
  return { slope, low: slope - t * error, high: slope + t * error };
}
