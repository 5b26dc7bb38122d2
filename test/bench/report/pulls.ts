/** Figures of pulls by fleet and step, as one table, because nobody reads hundreds of them in a list. Pure. */
import { FLEETS, fleetText, GITS, STEPS } from './catalogue.ts';
import { type Figure, numberText } from './figure.ts';

const WAYS = ['fairlead', ...GITS];

export const isOfPull = ({ id }: Figure): boolean =>
  FLEETS.some((fleet) => id.startsWith(`${fleet}.`)) && STEPS.some((step) => id.includes(`.${step}.`));

/** Milliseconds with their spread and bytes for each participant, then the other costs of fairlead. The first row is the head. */
export function pullsTable(figures: readonly Figure[]): string[][] {
  const byId = new Map(figures.map((figure) => [figure.id, figure]));
  const cell = (value: number | undefined) => (value === undefined ? '–' : numberText(value));
  const rows = FLEETS.flatMap((fleet) =>
    STEPS.filter((step) => byId.has(`${fleet}.${step}.ms.fairlead`)).map((step) => {
      const median = (cost: string, way: string) => byId.get(`${fleet}.${step}.${cost}.${way}`)?.median;
      const costs = WAYS.flatMap((way) => {
        const time = byId.get(`${fleet}.${step}.ms.${way}`);
        const spread = time === undefined ? '–' : `${cell(time.median)} (${cell(time.low)}–${cell(time.high)})`;
        return [spread, median('wire', way)?.toLocaleString('en') ?? '–'];
      });
      const more = ['cpu', 'peak', 'requests'].map((cost) => cell(median(cost, 'fairlead')));
      return [`${fleetText(fleet)}, ${step}`, ...costs, ...more];
    }),
  );
  const head = WAYS.flatMap((way) => [`${way}, ms`, 'bytes']);
  return [['pull', ...head, 'its processor ms', 'its memory MB', 'its requests'], ...rows];
}
