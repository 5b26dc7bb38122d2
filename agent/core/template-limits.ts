/**
 * What one template may cost, counted and never timed: a limit of time, which is all that LiquidJS has for rendering, would
 * refuse an honest template on a busy machine. Pure.
 */
import { Context, defaultOperators, type Liquid, type Operators } from 'liquidjs';

/** Far above any honest template. */
export const PARSE_LIMIT = 4 * 1024 * 1024;
/** LiquidJS counts bytes and elements that tags and filters make or walk; `counting` adds what comparisons walk. */
export const MEMORY_LIMIT = 32 * 1024 * 1024;
/** Pieces of template (text, outputs, tags) that are rendered, once for each turn of a loop. */
export const MAX_PIECES = 200_000;

type Limiter = Context['renderLimit'];

/** Counts its checks, of which LiquidJS makes one or two for each piece, instead of looking at the time that they bring. */
class PieceLimiter {
  private left = MAX_PIECES;

  use(): void {
    this.check();
  }

  check(): void {
    if (--this.left < 0) throw new Error(`template render limit exceeded: it renders more than ${MAX_PIECES} pieces`);
  }
}

/**
 * What one rendering works with; its limits hold for all templates that it includes.
 * @param options.goesOn whether it goes on behind an error, and throws all of them together at the end
 */
export const limitedContext = (liquid: Liquid, globals: object, { goesOn = false } = {}): Context =>
  new Context(
    {},
    goesOn ? { ...liquid.options, catchAllErrors: true } : liquid.options,
    { globals, sync: true },
    // The class has private fields, which make a subclass of its type impossible; its two methods are all that is called.
    { renderLimit: new PieceLimiter() as unknown as Limiter, liquid },
  );

/** Comparing two elements of lists takes LiquidJS as long as walking so many characters. */
const ELEMENT = 32;
const costOf = (value: unknown): number => {
  if (Array.isArray(value)) return value.length * ELEMENT;
  return typeof value === 'string' ? value.length : 0;
};

/** The operators that walk lists and texts, each walk counted against the limit of memory. */
export const countingOperators: Operators = {
  ...defaultOperators,
  ...Object.fromEntries(
    ['contains', '==', '!='].map((name) => {
      const operator = defaultOperators[name];
      if (!operator) throw new Error(`liquidjs has no operator ${name}`);
      const counting = (left: unknown, right: unknown, context: Context) => {
        context.memoryLimit.use(costOf(left));
        return operator(left, right, context);
      };
      return [name, counting];
    }),
  ),
};
